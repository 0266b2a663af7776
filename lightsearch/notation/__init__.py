"""The one-line text notation of designs, spaces and recipes. docs/language.md has the grammar.

`parse(format_text(x)) == x`, and `str(x)` is `format_text(x)`.
"""

from lightsearch.notation.formatter import format_text
from lightsearch.notation.parser import MAX_DEPTH, MAX_LAYERS, parse, parse_recipe

__all__ = ["MAX_DEPTH", "MAX_LAYERS", "format_text", "parse", "parse_recipe"]
