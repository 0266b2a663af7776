"""Type pages of the docs as their readers would: every line as it stands, from top to bottom.

    python type_pages.py FOLDER PAGE...

The blocks of a page marked ```sh and ```python run in their order: the commands in bash, the code
in one namespace of this interpreter, both in one empty folder a page. Blocks marked `no-run` are
left out: they install, wait for somebody, or need a machine. What a reader already has is made
here, small: MNIST in its own files, 600 images whose class is easy to see; a folder of leaves; a
folder of scans. Needs NumPy, Pillow and an installed lightsearch, whose checkout it must not see.
"""

import os
import re
import struct
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from PIL import Image

# A search without a hit ends with 3, as does a confirmation that confirms nothing: no fault here.
LET_3_PASS = 'lightsearch() { command lightsearch "$@" || [ $? = 3 ]; }\n'
BLOCK = re.compile(r"^```(sh|python)( no-run)?\n(.*?)^```", re.MULTILINE | re.DOTALL)
EXAMPLES = Path(__file__).parents[1] / "examples"
BEFORE = {"comparing": "comparing.py"}  # the example whose studies a page goes on with


def main() -> None:
    folder, *pages = (Path(argument).resolve() for argument in sys.argv[1:])
    write_mnist(folder / "mnist")
    os.environ["LIGHTSEARCH_DATA"] = str(folder / "mnist")
    for page in pages:
        begun, here = time.monotonic(), folder / page.stem
        here.mkdir()
        write_images(here)
        if page.stem in BEFORE:
            program = [sys.executable, EXAMPLES / BEFORE[page.stem], "--quick"]
            subprocess.run(program, cwd=here, check=True)
        count = type_page(page.read_text(), here)
        print(f"{page}: {count} blocks, {time.monotonic() - begun:.0f} s", flush=True)


def type_page(text: str, folder: Path) -> int:
    """Run the blocks of a page in `folder`, and return how many there were."""
    os.chdir(folder)
    namespace: dict[str, object] = {"__name__": "__main__"}
    blocks = [(kind, code) for kind, skip, code in BLOCK.findall(text) if not skip]
    for kind, code in blocks:
        print(code, flush=True)
        if kind == "sh":
            subprocess.run(["bash", "-euo", "pipefail", "-c", LET_3_PASS + code], check=True)
        else:
            exec(compile(code, "block", "exec"), namespace)
    return len(blocks)


def write_mnist(folder: Path) -> None:
    """Write images whose class is the row of a bright band, in the format of MNIST's files."""
    raw, random = folder / "MNIST" / "raw", np.random.default_rng(0)
    raw.mkdir(parents=True)
    for name, count in (("train", 500), ("t10k", 100)):
        labels = np.arange(count, dtype=np.uint8) % 10
        images = random.integers(0, 60, (count, 28, 28), dtype=np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[4 + 2 * label : 6 + 2 * label, 4:24] = 255
        files = {
            "images-idx3": struct.pack(">IIII", 0x803, count, 28, 28) + images.tobytes(),
            "labels-idx1": struct.pack(">II", 0x801, count) + labels.tobytes(),
        }
        for kind, data in files.items():
            (raw / f"{name}-{kind}-ubyte").write_bytes(data)


def write_images(folder: Path) -> None:
    """Write `leaves/` with two classes of photographs, and `scans/` with two digits."""
    random = np.random.default_rng(1)
    for name, light in (("leaves/elm", 120), ("leaves/oak", 0)):
        (folder / name).mkdir(parents=True)
        for number in range(30):
            pixels = random.integers(light, light + 100, (40, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")
    (folder / "scans").mkdir()
    for number in range(2):
        Image.fromarray(random.integers(0, 255, (28, 28), dtype=np.uint8)).save(
            folder / "scans" / f"{number}.png"
        )


if __name__ == "__main__":
    main()
