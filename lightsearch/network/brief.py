"""Texts of operations, of which fingerprints are made."""

from __future__ import annotations

from dataclasses import MISSING, fields


class Brief:
    """Leaves fields at their defaults out of its text: a new one changes no fingerprint."""

    __slots__ = ()

    def __repr__(self) -> str:
        values = (
            f"{one.name}={getattr(self, one.name)!r}"
            for one in fields(self)  # type: ignore[arg-type]
            if one.default is MISSING or getattr(self, one.name) != one.default
        )
        return f"{type(self).__name__}({', '.join(values)})"
