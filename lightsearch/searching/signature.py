"""Functions that take the fields of a `Settings` as their arguments.

For a type checker and an editor, the signature is that of the settings' constructor; when the
program runs, `inspect.signature` and `help` show it with plain types, and a wrong call is a
`TypeError` of the function that was called.
"""

from __future__ import annotations

import functools
import inspect
import textwrap
from collections.abc import Callable, Iterator
from typing import ForwardRef, ParamSpec, TypeVar

from lightsearch.searching.setting import Role, Setting, settings_of
from lightsearch.searching.settings import Settings

P = ParamSpec("P")
S = TypeVar("S", bound=Settings)
R = TypeVar("R")

HEADINGS: dict[Role, str] = {
    "identity": "Identity (a study is continued only with the same values):",
    "growable": "Growable (a study may be continued with a larger value):",
    "free": "Free (a study may be continued with any value):",
}


def takes(settings: Callable[P, S]) -> Callable[[Callable[[S], R]], Callable[P, R]]:
    """Make a function of one `Settings` a function of its fields.

    `{settings}` in its docstring becomes the list of them.
    """
    assert isinstance(settings, type)
    known = settings_of(settings)

    def decorate(function: Callable[[S], R]) -> Callable[P, R]:
        signature = _signature(function, settings, known)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                signature.bind(*args, **kwargs)
            except TypeError as error:
                raise TypeError(f"{function.__name__}() {error}") from None
            return function(settings(*args, **kwargs))

        call.__signature__ = signature  # type: ignore[attr-defined]
        call.__annotations__ = {"return": signature.return_annotation} | {
            name: p.annotation for name, p in signature.parameters.items()
        }
        call.__doc__ = function.__doc__ and function.__doc__.replace(
            "{settings}", textwrap.indent("\n".join(_describe(known)), "    ").strip()
        )
        return call

    return decorate


def _signature(
    function: Callable[[S], R], settings: type[Settings], known: dict[str, Setting]
) -> inspect.Signature:
    parameters = [
        parameter.replace(annotation=_plain(known[name]))
        for name, parameter in inspect.signature(settings).parameters.items()
    ]
    return inspect.Signature(
        parameters, return_annotation=inspect.signature(function).return_annotation
    )


def _plain(setting: Setting) -> object:
    """A setting's type, or its text if it names what is not loaded."""
    annotation = setting.annotation
    return annotation.__forward_arg__ if isinstance(annotation, ForwardRef) else annotation


def _describe(known: dict[str, Setting]) -> Iterator[str]:
    """A list of the settings by role, in Markdown."""
    for role, heading in HEADINGS.items():
        yield f"{heading}\n"
        for setting in known.values():
            about = setting.about
            if about.role == role:
                otherwise = about.none and f"By default {about.none}."
                text = " ".join(filter(None, (about.help, about.more, otherwise)))
                yield textwrap.fill(
                    f"- `{setting.name}`: {text}",
                    95,
                    subsequent_indent="  ",
                    break_on_hyphens=False,
                )
        yield ""
