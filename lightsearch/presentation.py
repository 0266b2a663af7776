"""Values as people see them: a few lines in a terminal, a table in a notebook."""

from __future__ import annotations

import html
from dataclasses import dataclass

from lightsearch.errors import escape_controls


@dataclass(frozen=True, slots=True)
class Sheet:
    """What is shown of a value: a title, named lines, and for a notebook a table."""

    title: str
    lines: tuple[tuple[str, str], ...] = ()
    heads: tuple[str, ...] = ()
    rows: tuple[tuple[str, ...], ...] = ()

    def as_text(self) -> str:
        """Return the title and the lines, without the table."""
        wide = max((len(name) for name, _ in self.lines), default=0)
        lines = [self.title, *(f"  {name:<{wide}}  {text}" for name, text in self.lines)]
        return escape_controls("\n".join(lines))

    def as_html(self) -> str:
        """Return all of it as HTML in which nothing of the value is markup, or a control."""
        parts = [f"<b>{_escape(self.title)}</b>"]
        if self.lines:
            parts.append(_table(self.lines))
        if self.rows:
            parts.append(_table(self.rows, self.heads))
        return f"<div>{''.join(parts)}</div>"


def _escape(text: str) -> str:
    return html.escape(escape_controls(text))


def _table(rows: tuple[tuple[str, ...], ...], heads: tuple[str, ...] = ()) -> str:
    style = ' style="text-align: left"'
    top = "".join(f"<th{style}>{_escape(head)}</th>" for head in heads)
    body = "".join(
        f"<tr>{''.join(f'<td{style}>{_escape(cell)}</td>' for cell in row)}</tr>" for row in rows
    )
    return f"<table>{f'<thead><tr>{top}</tr></thead>' if top else ''}<tbody>{body}</tbody></table>"


class Presented:
    """A value that shows itself by its `Sheet`, in place of all that it holds."""

    __slots__ = ()

    def _sheet(self) -> Sheet:
        raise NotImplementedError

    def __repr__(self) -> str:
        return self._sheet().as_text()

    def _repr_html_(self) -> str:
        return self._sheet().as_html()
