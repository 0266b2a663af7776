"""What the commands share: exit codes, errors as one message, options."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from lightsearch.checks import check_path, read_text_file, suggest_share, to_count
from lightsearch.cli.completion import complete_names
from lightsearch.cli.limits import meet_limits
from lightsearch.cli.own_layers import OPTION, lacks_file, move_to_front
from lightsearch.errors import (
    ArgumentError,
    BudgetError,
    DesignError,
    LightsearchError,
    NotationError,
    escape_controls,
    explain_refusal,
    quote,
)
from lightsearch.network.cost import Budget
from lightsearch.searching.settings import DEFAULTS, SETTINGS

F = TypeVar("F", bound=Callable[..., Any])

FAILED, USAGE, NO_HIT, DIFFERENT, STOPPED = 1, 2, 3, 4, 130
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)  # of what output goes to
_WRONG = (ArgumentError, BudgetError, DesignError, NotationError)


class Commands(click.Group):
    """A group that shows our own errors as their message, and nothing of the traceback."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in the order in which they are used, not of the alphabet

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta["line"] = list(args)
        if lacks_file(args):
            raise click.BadOptionUsage(OPTION, f"Option '{OPTION}' requires an argument.", ctx)
        return super().parse_args(ctx, move_to_front(args))

    def main(self, *args: Any, **named: Any) -> Any:
        _open_closed()
        try:
            return super().main(*args, **named)
        except OSError as error:  # also from `--help`, which is printed before any command runs
            if error.errno not in _FULL or error.filename is not None:
                raise
            with contextlib.suppress(OSError):  # standard error may be on the same disk
                click.echo(
                    f"lightsearch: the output cannot be written: {error.strerror}", err=True
                )
            _drop_output()
            sys.exit(FAILED)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            meet_limits()
            value = super().invoke(ctx)
            sys.stdout.flush()  # or what cannot be written is noticed after the exit status
            return value
        except RuntimeError as error:
            if "can't start new thread" not in str(error):
                raise
            click.echo(f"lightsearch: {explain_refusal(error)}", err=True)
            ctx.exit(FAILED)
        except MemoryError:
            click.echo("lightsearch: no memory is left (`ulimit -v` may limit it)", err=True)
            ctx.exit(FAILED)
        except ImportError as error:
            if "failed to map" not in str(error) and "cannot allocate" not in str(error).lower():
                raise
            click.echo(f"lightsearch: no memory is left (`ulimit -v`?): {error}", err=True)
            ctx.exit(FAILED)
        except LightsearchError as error:
            click.echo(f"lightsearch: {escape_controls(str(error))}", err=True)
            if isinstance(error, _WRONG):
                click.echo(
                    f"Try '{ctx.command_path} {ctx.invoked_subcommand or ''} --help' for help.",
                    err=True,
                )
                ctx.exit(USAGE)
            ctx.exit(FAILED)
        except KeyboardInterrupt:
            click.echo("lightsearch: stopped", err=True)
            ctx.exit(STOPPED)


def _open_closed() -> None:
    """Let streams that are closed (`>&-`) lead nowhere: a file that is opened would be one."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))


def _drop_output() -> None:
    """What is left would fail again as the interpreter ends, with a traceback."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream, number in ((sys.stdout, 1), (sys.stderr, 2)):
        try:
            stream.flush()
        except OSError:
            os.dup2(nowhere, number)


def option(
    name: str, help: str = "", *, also: str = "", otherwise: str = "", **more: Any
) -> Callable[[F], F]:
    """The option of a setting of a search, with its help and its default unless told otherwise.

    `also` is added to the help. The option is None if it is not given, so that the default stays
    the library's.
    """
    setting = SETTINGS[name]
    about, kinds = setting.about, setting.kinds
    flag = spelled = f"--{name.replace('_', '-')}"
    default = "" if setting.default is None else str(setting.default)
    if about.words:
        more = {"metavar": "NAME", "shell_complete": complete_names(about.words), **more}
    elif Path in kinds:
        more = {"metavar": "FOLDER", "type": click.Path(), **more}
    elif kinds[0] is int:
        more = {"type": int, **more}
    elif kinds[0] is float:
        more = {"type": Share() if about.high == 1 else float, **more}
    elif kinds[0] is bool:
        spelled = f"{flag}/--no-{name}" if setting.default else flag
        default = flag if setting.default else ""
        more = {"is_flag": True, "default": setting.default, **more}
    shown = otherwise or about.none or default
    texts = (help or about.help, also and f" {also}", shown and f"  [default: {shown}]")
    return click.option(spelled, help=_in_options("".join(texts)), **more)


def _in_options(text: str) -> str:
    """Text in which the settings in backquotes are options."""
    return re.sub(
        r"`(\w+)`",
        lambda found: f"--{found[1].replace('_', '-')}" if found[1] in SETTINGS else found[0],
        text,
    )


data_option = option("data")


def json_option(function: F) -> F:
    """`--json`."""
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(function)


def force_option(function: F) -> F:
    """`--force`."""
    return click.option("--force", is_flag=True, help="Replace the file if it is there.")(function)


def notation(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """A callback: text in the notation, or `@FILE` to read it from a file with `#` comments."""
    if value is None or not value.startswith("@"):
        return value
    try:
        text = read_text_file(check_path("FILE", value[1:]))
        return "\n".join(line.partition("#")[0] for line in text.splitlines()).strip()
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"{value[1:]} cannot be read: {error}") from None


def cap(context: click.Context, parameter: click.Parameter, value: str | None) -> int | str | None:
    """A callback: a count, or `none` for no cap."""
    if value is None or value == "none":
        return value
    count = _to_integer(value)
    if count is None:
        raise click.BadParameter(f"it must be an integer or none, but got {value}")
    return count


def _to_integer(value: Any) -> int | None:
    """Return a count in any spelling, or an integer that is none, which `Budget` refuses."""
    try:
        return int(value)
    except ValueError:
        count = to_count(value)
        return count if isinstance(count, int) else None


class Share(click.ParamType[float]):
    """A share from 0 to 1. Of one in per cent, the message names the share."""

    name = "float"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            return float(value)
        except ValueError:
            said = f"{quote(value)} is not a valid float{suggest_share(value)}"
            self.fail(said if said.endswith("?") else f"{said}.", param, ctx)


class Count(click.ParamType[int]):
    """A count in any of its spellings: 8000, 8e3, 8k, 8,000."""

    name = "integer"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        count = _to_integer(value)
        if count is None:
            self.fail(f"{quote(value)} is not a valid integer.", param, ctx)
        return count


def budget_options(function: F) -> F:
    """`--budget` and the caps beside it; `budget_of` makes a `Budget` of them."""
    function = click.option(
        "--min-receptive-field",
        type=Count(),
        metavar="PIXELS",
        help=("Least receptive field of a design, in pixels of the image."),
    )(function)
    function = click.option(
        "--budget-activation-bytes-int8",
        type=Count(),
        metavar="BYTES",
        help=("The same where the network will run in int8: a byte a value."),
    )(function)
    function = click.option(
        "--budget-activation-bytes",
        type=Count(),
        metavar="BYTES",
        help=("Most bytes of activations alive at once for one image, in float32."),
    )(function)
    function = click.option(
        "--budget-macs",
        type=Count(),
        metavar="COUNT",
        help=("Most multiply-accumulates for one image."),
    )(function)
    return option("budget", also="Or none.", callback=cap, type=str, metavar="COUNT")(function)


def budget_of(
    params: int | str | None,
    macs: int | None,
    activation_bytes: int | None,
    int8: int | None,
    field: int | None = None,
) -> Budget:
    """The caps in one; parameters are capped by default, too.

    Raises `ArgumentError` for a cap below 1.
    """
    if int8 is not None:
        if activation_bytes is not None:
            raise click.UsageError(
                "--budget-activation-bytes and --budget-activation-bytes-int8 "
                "must not be given together: they are one cap"
            )
    if params is None:
        params = DEFAULTS.caps.params
    cap = None if isinstance(params, str) else params
    return Budget(cap, macs, activation_bytes, field, activation_bytes_int8=int8)
