"""Functions that take a search's settings, with their arguments: the source alone shows one."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from typing import Any

import griffe


class SettingsFunctions(griffe.Extension):
    """Takes signature and docstring of a `@takes` function from the running program."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if (
            not isinstance(obj, griffe.Function)
            or obj.docstring is None
            or not any(str(decorator.value).startswith("takes(") for decorator in obj.decorators)
        ):
            return
        running = getattr(import_module(obj.module.path), obj.name)
        obj.docstring.value = inspect.getdoc(running) or ""
        obj.parameters = griffe.Parameters(
            *(
                griffe.Parameter(
                    name,
                    annotation=_short(one.annotation),
                    default=repr(one.default),
                    kind=griffe.ParameterKind(one.kind.description),
                )
                for name, one in inspect.signature(running).parameters.items()
            )
        )


def _short(annotation: Any) -> str:
    """A type without the modules of its names."""
    text = annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)
    return re.sub(r"(?:\w+\.)+(?=\w)", "", text)
