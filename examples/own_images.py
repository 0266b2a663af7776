"""From a folder of images, one folder a class, to a network that classifies a photograph.

python own_images.py FOLDER       your images
python own_images.py              shapes that this script draws
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from lightsearch import export, folder_dataset, predict, search


def draw_shapes(folder: Path, each: int) -> None:
    """Discs, squares and triangles on noise, `each` PNGs of 24x24 pixels a class."""
    random = np.random.default_rng(0)
    for name in ("disc", "square", "triangle"):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for number in range(each):
            noise = random.integers(0, 120, (24, 24), dtype=np.uint8)
            image = Image.fromarray(noise)
            x, y, r = (int(v) for v in random.integers((8, 8, 4), (16, 16, 8)))
            corners = (x - r, y - r, x + r, y + r)
            pen = ImageDraw.Draw(image)
            if name == "disc":
                pen.ellipse(corners, fill=200)
            elif name == "square":
                pen.rectangle(corners, fill=200)
            else:
                pen.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=200)
            image.save(folder / name / f"{number:04}.png")


given = [a for a in sys.argv[1:] if not a.startswith("--")]
folder = Path(given[0] if given else "shapes")
if not given:
    draw_shapes(folder, each=120)

# Images are cut to a square, resized to 24x24 and made gray. A fifth of each class is for testing.
data = folder_dataset(folder, size=24, gray=True)
print(f"{len(data.train[1])} training and {len(data.test[1])} test images, {data.classes} classes")

quick = {"trials": 6, "epochs": 20} if "--quick" in sys.argv else {"trials": 10, "epochs": 20}
result = search(
    budget=3000,
    target=0.8,
    dataset=data,
    study="own-images",
    keep_orientation=True,  # train without rotation: it could change what a shape is
    **quick,
)
if result.leaderboard.empty:
    sys.exit("No design has reached the target yet: give more trials and run this again.")

written = export(result, "own_images.onnx")
photo = next((folder / data.class_names[0]).glob("*.png"))
(said,) = predict(written.path, photo)
print(f"{photo}: {said.name}, probability {said.probability:.2f} (of {data.class_names})")
