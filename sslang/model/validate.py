"""Validation by Pydantic, with its findings in our words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
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
            text = item["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
            found.setdefault(field, Problem(field, f"it should be {text}"
                             if item["msg"].startswith("Input should be") else text))  # fmt: skip
        return list(found.values())
    return []
