"""The resolved spec as plain, validated data: what a run is a function of, with seed and data."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cached_property

from pydantic import BaseModel, ConfigDict, Field

from sslang.model.recipe import Recipe


class Spec(BaseModel):
    """A method under one recipe, everything resolved."""

    model_config = ConfigDict(frozen=True)

    method: str
    paper: str | None
    recipe_name: str | None
    overrides: tuple[str, ...]
    recipe: Recipe | None
    assumes: tuple[tuple[str, str], ...] = ()  # what the user vouches for, and why
    settings: dict[str, str]  # of the phase: every param and field, as written
    written: Callable[[], str] = Field(repr=False, exclude=True)  # gives `text`, which few need

    @cached_property
    def text(self) -> str:
        """The resolved text, the standard library's part inlined; it is itself a spec."""
        return self.written()

    @property
    def hash(self) -> str:
        """Names the resolved text; run options (device, workers, compile) do not enter."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:16]
