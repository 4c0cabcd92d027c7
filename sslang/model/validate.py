"""Validation by Pydantic, with its findings in our words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from sslang.records import record

Model = TypeVar("Model", bound=BaseModel)


@record(frozen=True)
class Problem:
    field: str
    text: str


def validated(model: type[Model], values: Mapping[str, Any]) -> Model | None:
    """The model with these values, or None where they do not fit."""
    try:
        return model.model_validate(values)
    except ValidationError:
        return None


def problems(model: type[BaseModel], values: Mapping[str, Any]) -> list[Problem]:
    """What does not fit, one entry a field."""
    try:
        model.model_validate(values)
    except ValidationError as error:
        found: dict[str, Problem] = {}
        for item in error.errors(include_url=False):
            field = str(item["loc"][0]) if item["loc"] else ""
            found.setdefault(field, Problem(field, _text(item)))
        return list(found.values())
    return []


def _text(item: ErrorDetails) -> str:
    text = item["msg"].removeprefix("Value error, ")
    if not text.startswith("Input should be "):
        return text
    text = (
        text.removeprefix("Input should be ")
        .replace("valid integer", "whole number")
        .replace("'", "`")
    )
    return f"it should be {text}"
