"""How long functions may be: 50 lines, with their arguments, but without their docstring."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import lightsearch

ROOT = Path(lightsearch.__file__).parent
LONGEST = 50


def _lengths(text: str) -> Iterator[tuple[str, int]]:
    """Yield the name and the lines of each function of a file."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = node.body[0] if ast.get_docstring(node) is not None else None
            yield node.name, _lines(node) - (0 if docstring is None else _lines(docstring))


def _lines(node: ast.stmt) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def test_no_function_is_longer_than_50_lines() -> None:
    found = [
        (path.relative_to(ROOT).as_posix(), name, lines)
        for path in sorted(ROOT.rglob("*.py"))
        for name, lines in _lengths(path.read_text(encoding="utf-8"))
    ]
    assert len(found) > 1000
    assert [one for one in found if one[2] > LONGEST] == []


def test_docstrings_do_not_count() -> None:
    body = "\n".join(["    pass"] * 49)
    docstring = '    """A line.\n\n    Another.\n    """'
    text = f"def short():\n{docstring}\n{body}\n\nasync def long():\n{docstring}\n{body}\n    pass"
    assert dict(_lengths(text)) == {"short": 50, "long": 51}
