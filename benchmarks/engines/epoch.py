"""Time a training epoch with augmentation and evaluation, on one thread, in four ways.

    python benchmarks/engines/epoch.py --out epoch.json

The ways take turns, a few steps at a time. Their times are scaled to the seconds of an epoch of
60,000 images and one evaluation of 10,000. `documents` trains as the source documents do: eager
PyTorch, with torchvision's data set and PIL transforms in a DataLoader. `compiled` does not count
the compilation, whose time is given separately.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torchvision import datasets, transforms

sys.path.insert(0, str(Path(__file__).parents[1]))
import common

from lightsearch import build, parse, parse_recipe, zoo
from lightsearch.data.named import load
from lightsearch.engines.augment import augment
from lightsearch.engines.native.engine import Native
from lightsearch.engines.native.library import build_name, open_library, path_of
from lightsearch.engines.pytorch import Eager

RECIPE = parse_recipe("recipe(lr=0.01,schedule=constant,rotation=7)")
DESIGNS = {
    **{
        name: str(zoo[name].design)
        for name in ("s1-final", "s2-final", "s3-model3", "s3-model5", "s4-model1", "s4-model2")
    },
    **common.DESIGNS,
}
IMAGES, TESTS, BATCH = 60_000, 10_000, 128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--designs", nargs="+", default=list(DESIGNS))
    parser.add_argument(
        "--data", help="folder of the data set, as torchvision lays it out", required=True
    )
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument(
        "--build",
        default=build_name(),
        help="of the native engine: plain, v3 or v4; that of this processor",
    )
    options = parser.parse_args()
    torch.set_num_threads(1)
    found: dict[str, dict[str, list[float]]] = {}
    for name in options.designs:
        ways = made(DESIGNS[name], options)
        times: dict[str, list[float]] = {way: [] for way in ways}
        for way, once in ways.items():  # the first call compiles, and fills caches
            begin = time.perf_counter()
            once(2)
            if way == "compiled":
                times["compiling"] = [time.perf_counter() - begin]
        for _ in range(options.rounds):
            for way, once in ways.items():
                times[way].append(once(options.steps))
        found[name] = times
        options.out.write_text(json.dumps(found, indent=1))
        print(name, {way: round(statistics.median(t), 1) for way, t in times.items()}, flush=True)
    print_table(found)


def made(text: str, options: argparse.Namespace) -> dict[str, Callable[[int], float]]:
    """Return, for each way, a function that takes some steps and returns seconds an epoch."""
    data = load("mnist", options.data)
    design = parse(text)

    def engine(one: Eager | Native) -> Callable[[int], float]:
        one.begin()
        batches = torch.arange(BATCH * options.steps).split(BATCH)

        def timed(steps: int) -> float:
            begin = time.perf_counter()
            for batch in batches[:steps]:
                one.learn(batch, 0.01, 1, 2)
            trained = time.perf_counter()
            one.evaluate(averaged=False)
            return scaled(trained - begin, steps) + time.perf_counter() - trained

        return timed

    ways: dict[str, Callable[[int], float]] = {
        "documents": documents(design, options),
        "eager tensors": engine(Eager(design, RECIPE, data, 1)),
    }
    if not options.no_compile:
        ways["compiled"] = compiled(design, options)
    native = open_library(path_of(options.build))
    return {**ways, "native": engine(Native(design, RECIPE, data, 1, native))}


def scaled(seconds: float, steps: int) -> float:
    return seconds / (steps * BATCH) * IMAGES


def documents(design, options: argparse.Namespace, device: str = "cpu") -> Callable[[int], float]:
    """Train in the loop of the source documents' notebooks."""
    normal = [transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))]
    train = datasets.MNIST(
        options.data,
        train=True,
        transform=transforms.Compose([transforms.RandomRotation((-7.0, 7.0), fill=(0,)), *normal]),
    )
    test = datasets.MNIST(options.data, train=False, transform=transforms.Compose(normal))
    loader = torch.utils.data.DataLoader(train, batch_size=BATCH, shuffle=True)
    few = torch.utils.data.Subset(test, range(1280))
    tests = torch.utils.data.DataLoader(few, batch_size=BATCH)
    model = build(design).to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)

    def timed(steps: int) -> float:
        model.train()
        batches = iter(loader)
        begin = time.perf_counter()
        for _ in range(steps):
            x, y = (part.to(device) for part in next(batches))
            optimizer.zero_grad()
            loss = F.nll_loss(F.log_softmax(model(x), 1), y)
            loss.backward()
            optimizer.step()
            loss.item()  # their progress bar shows it
        trained = time.perf_counter()
        model.eval()
        with torch.no_grad():
            for x, y in ((x.to(device), y.to(device)) for x, y in tests):
                F.nll_loss(F.log_softmax(model(x), 1), y, reduction="sum").item()
        return scaled(trained - begin, steps) + (time.perf_counter() - trained) * TESTS / len(few)

    return timed


def compiled(design, options: argparse.Namespace) -> Callable[[int], float]:
    """Train with torch.compile of the module, channels-last, with images as one tensor."""
    torch.compiler.reset()  # else the designs before count against its limit of compilations
    data = load("mnist", options.data)
    images, labels = data.train
    model = build(design).to(memory_format=torch.channels_last)
    fast = torch.compile(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, foreach=True)
    mean, std = (v[:, None, None] for v in data.mean_std)

    def ready(pixels: torch.Tensor) -> torch.Tensor:
        return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)

    def timed(steps: int) -> float:
        model.train()
        begin = time.perf_counter()
        for step in range(steps):
            batch = slice(BATCH * step, BATCH * (step + 1))
            x = ready(augment(images[batch].float() / 255, RECIPE, step))
            optimizer.zero_grad()
            F.cross_entropy(fast(x), labels[batch]).backward()
            optimizer.step()
        trained = time.perf_counter()
        model.eval()
        with torch.no_grad():
            for first in range(0, 2000, 500):
                fast(ready(data.test[0][first : first + 500].float() / 255)).argmax(1)
        return scaled(trained - begin, steps) + (time.perf_counter() - trained) * TESTS / 2000

    return timed


def print_table(found: dict[str, dict[str, list[float]]]) -> None:
    ways = [way for way in next(iter(found.values())) if way != "compiling"]
    print("| design | " + " | ".join(ways) + " | documents / native | best PyTorch / native |")
    print("|---|" + "---:|" * (len(ways) + 2))
    ratios, bests = [], []
    for name, times in found.items():
        medians = {way: statistics.median(times[way]) for way in ways}
        best = min(v for way, v in medians.items() if way not in ("documents", "native"))
        ratios.append(medians["documents"] / medians["native"])
        bests.append(best / medians["native"])
        print(
            f"| {name} | "
            + " | ".join(f"{medians[way]:.1f}" for way in ways)
            + f" | {ratios[-1]:.1f} | {bests[-1]:.1f} |"
        )
    print(
        "| median | "
        + " | ".join("" for _ in ways)
        + f" | {statistics.median(ratios):.1f} | {statistics.median(bests):.1f} |"
    )


if __name__ == "__main__":
    main()
