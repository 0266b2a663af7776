"""The constant arrays of a C file."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field

from torch import Tensor

from lightsearch.errors import ExportError
from lightsearch.network.windows import Slides

LINE = 96  # columns
_LEAST_FLOAT = 2.0**-126  # below it, compilers warn of a float that loses digits
_BYTES = {"float": 4, "int32_t": 4, "int8_t": 1, "uint8_t": 1, "short": 2}


@dataclass(slots=True)
class Constants:
    """Arrays and windows by name. An array that loops share, and equal windows, are written once.

    They have `values` numbers, and take `bytes` with the windows.
    """

    texts: dict[str, str] = field(default_factory=dict)
    values: int = 0
    bytes: int = 0

    def add_array(self, name: str, kind: str, values: Tensor | Iterable[float]) -> str:
        """Add an array of numbers, and return its name: `name`, with a number if that is another
        array's."""
        numbers = values.flatten().tolist() if isinstance(values, Tensor) else list(values)
        words = [format_float(n) if kind == "float" else str(int(n)) for n in numbers]
        body = textwrap.fill(
            ", ".join(words), LINE, initial_indent="    ", subsequent_indent="    "
        )
        form = f"static const {kind} {{}}[{len(words)}] = {{{{\n{body}\n}}}};"
        free, number = name, 1
        while self.texts.get(free, text := form.format(free)) != text:
            free, number = f"{name}_{number}", number + 1
        if free not in self.texts:
            self.values += len(words)
            self.bytes += len(words) * _BYTES[kind]
        self.texts[free] = text
        return free

    def add_window(self, sizes: tuple[int, ...], slides: Slides) -> str:
        """Add a `Window`, and return its name."""
        numbers = [astuple(slide) for slide in slides]
        words = [str(size) for size in sizes]
        words += [f"{{{', '.join(map(str, slide))}}}" for slide in numbers]
        text = f" = {{{', '.join(words)}}};"
        windows = [name for name in self.texts if name.startswith("window")]
        for name in windows:
            if self.texts[name].endswith(text):
                return name
        name = f"window{len(windows)}"
        self.texts[name] = f"static const Window {name}{text}"
        self.bytes += 4 * (len(sizes) + sum(map(len, numbers)))
        return name


def name_array(weights: str) -> str:
    """Return the name of an array, from the name of a tensor.

    >>> from lightsearch.exporting.c.constants import name_array
    >>> name_array("3.add.body.0.conv.weight")
    'layer3_add_body_0_conv_weight'
    """
    return "layer" + re.sub(r"\W", "_", weights)


def format_float(value: float) -> str:
    """Return a float32 as C has it. Raises `ExportError` if it is infinite or no number."""
    if value != value or abs(value) > 3.5e38:
        raise ExportError(f"weights must be finite numbers to be written as C, but got {value}")
    if abs(value) < _LEAST_FLOAT:
        return "0.0f"
    text = f"{value:.9g}"
    return f"{text}f" if re.search(r"[.e]", text) else f"{text}.0f"
