"""A search on images of your own: here striped squares, drawn by this script."""

import sys

import numpy as np

from lightsearch import make_dataset, search


def stripes(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Noisy 16x16 images of stripes in four directions, uint8, and their labels."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:16, :16]
    labels = random.integers(0, 4, count)
    angles = np.pi * labels / 4 + random.normal(0, 0.1, count)
    phases = random.uniform(0, 6, count)
    across = x * np.cos(angles)[:, None, None] + y * np.sin(angles)[:, None, None]
    waves = 127 + 60 * np.sin(across + phases[:, None, None])
    return np.clip(waves + random.normal(0, 40, waves.shape), 0, 255).astype(np.uint8), labels


quick = {"trials": 2, "epochs": 4} if "--quick" in sys.argv else {"trials": 10, "epochs": 10}

data = make_dataset(train=stripes(2000, seed=0), test=stripes(500, seed=1), name="stripes")
result = search(
    budget=1500,
    target=0.95,
    dataset=data,
    recipe="recipe(lr=0.1,ema=0.99)",  # no rotation: the direction is the class
    **quick,
)
print(result.trials[["outcome", "best_accuracy", "params", "design"]].to_string())
