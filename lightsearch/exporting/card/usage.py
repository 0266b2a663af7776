"""How a file is used, as the code of its model card."""

from __future__ import annotations

import shlex
from pathlib import Path

from lightsearch.data.catalogue import NAMES
from lightsearch.data.class_names import escape_text, quote_python
from lightsearch.data.dataset import DataSet
from lightsearch.exporting.c.notes import Notes

_PREPARE = """\
import numpy as np
{imports}
from PIL import Image, ImageOps

image = Image.open("photo.png").convert("{mode}")
image = ImageOps.fit(image, ({width}, {height}), Image.Resampling.BILINEAR)
pixels = np.asarray(image, dtype=np.float32).reshape({height}, {width}, {channels}) / 255
mean, std = np.float32([{mean}]), np.float32([{std}])
images = ((pixels - mean) / std).transpose(2, 0, 1)[None]  # (1, channels, height, width)
{run}"""
_RUN = {
    ".onnx": (
        "import onnxruntime",
        "session = onnxruntime.InferenceSession({file})\n"
        'scores = session.run(None, {{"images": images}})[0]\n'
        "print(scores.argmax(1))",
    ),
    ".pt2": (
        "import torch",
        "net = torch.export.load({file}).module()\nprint(net(torch.from_numpy(images)).argmax(1))",
    ),
    ".safetensors": (
        "import torch\nfrom lightsearch.exporting import open_net",
        "net = open_net({file})\nprint(net.scores(torch.from_numpy(images)).argmax(1))",
    ),
    ".py": (
        "import runpy\n\nimport torch\nfrom safetensors.torch import load_file",
        'net = runpy.run_path({file})["Net"]().eval()\n'
        "net.load_state_dict(load_file({beside}))\n"
        "print(net(torch.from_numpy(images)).argmax(1))",
    ),
}
_C = """\
#include "{stem}.h"

static {kind} memory[{PREFIX}_MEMORY];

int classify(const unsigned char pixels[{PREFIX}_PIXELS]) /* 0 to 255, channel by channel */
{{
    {prefix}_read(pixels, memory);
    return {prefix}_class({prefix}_run(memory));
}}"""


def list_usage(path: Path, data: DataSet, metadata: dict[str, str]) -> tuple[str, str, str, str]:
    """Return a command or "", and of a snippet the language, what it does, and the code."""
    suffix = path.suffix.lower()
    if suffix == ".c":
        notes = Notes(path.stem, (), (), (), metadata)
        kind = "int8_t" if "int8_accuracy" in metadata else "float"
        code = _C.format(
            stem=path.stem, kind=kind, prefix=notes.prefix, PREFIX=notes.prefix.upper()
        )
        return "", "c", "The C file normalises pixels itself.", code
    channels, height, width = data.shape
    imports, run = _RUN[suffix]
    code = _PREPARE.format(
        imports=imports,
        mode="L" if channels == 1 else "RGB",
        channels=channels,
        height=height,
        width=width,
        mean=metadata["mean"].replace(",", ", "),
        std=metadata["std"].replace(",", ", "),
        run=run.format(
            file=quote_python(path.name), beside=quote_python(f"{path.stem}.safetensors")
        ),
    )
    command = "" if suffix == ".py" else f"lightsearch predict {_shell(path.name)} photo.png"
    about = "Or by hand, with" if command else "With"
    about += f" an image cut about the middle and resized{_say_ground(data, metadata)}:"
    return command, "python", about, code


def _say_ground(data: DataSet, metadata: dict[str, str]) -> str:
    """Say how images must be that `predict` would turn into those of a public data set."""
    if metadata["dataset"] not in NAMES or data.shape[0] != 1:
        return ""
    grounds = ("dark", "bright") if float(metadata["background"]) <= 0.5 else ("bright", "dark")
    return (
        f" (it must be {grounds[1]} on {grounds[0]} ground with a margin, as in training; "
        "`lightsearch predict` inverts and pads others)"
    )


def _shell(name: str) -> str:
    return shlex.quote(escape_text(name))
