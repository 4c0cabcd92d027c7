"""Frozen dataclasses that are cheap to define and to make, for what a check loads and builds.

`sslang check` defines 140 of them before it reads a line: by `dataclasses` alone, which compiles
six methods for each, that takes longer than to parse a spec. `record` has it compile one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:
    from dataclasses import dataclass, fields
    from operator import attrgetter

    def record(*, frozen, eq=True):
        """`dataclasses.dataclass`; that nothing is assigned later is left to the type checker.

        Of `field`'s settings `hash` is not heeded: what is compared is hashed.
        """
        assert frozen

        def defined(cls):
            cls.__doc__ = cls.__doc__ or cls.__name__  # else the signature is made into one
            cls = dataclass(repr=False, eq=False)(cls)
            cls.__repr__ = vars(cls).get("__repr__", _repr)
            if eq:
                _compare(cls, [f.name for f in fields(cls) if f.compare])
            return cls

        return defined

    def _repr(self):
        shown = ", ".join(f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if f.repr)
        return f"{type(self).__qualname__}({shown})"

    def _compare(cls, names):
        """Equal are those of one class whose fields are equal, unless the class says otherwise."""
        compared = attrgetter(*names) if names else lambda self: ()

        def equal(self, other):
            if other.__class__ is not self.__class__:
                return NotImplemented
            return compared(self) == compared(other)

        own = vars(cls)
        cls.__eq__ = own.get("__eq__", equal)
        cls.__hash__ = own.get("__hash__") or (lambda self: hash(compared(self)))


__all__ = ["record"]
