"""The protocol of a study: how its figures came about, in sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable

from lightsearch.formatting import SURROGATE_NOTE, plural
from lightsearch.report.result import SearchResult
from lightsearch.study.identity import Identity
from lightsearch.study.warm_start import explain_warm_start

# In a recipe as text, whose steps may not be registered here.
HAS_AVERAGE, HAS_CLEAN = re.compile(r"[(,]ema="), re.compile(r"[(,]clean=")
PRUNERS = {
    "predicted": "A trial is stopped early when its predicted best accuracy, even at the upper "
    "end of the 95% interval, is below the target (a line from its latest accuracy, through the "
    "complete trials and the curves that the package ships).",
    "rungs": "After a fifteenth of the epochs the best fifteenth of the trials so far goes on, "
    "after a fifth the best half of those that came as far. The others are stopped.",
    "target": "A trial is stopped early when twice the largest rise that any complete trial made "
    "from that epoch on would not bring it to the target.",
    "median": "A trial is stopped early when it is worse than the median of the others at the "
    "same epoch (Optuna's MedianPruner).",
    "halving": "Trials are stopped early by successive halving (Optuna's).",
    "none": "No trial is stopped early.",
}


def protocol(result: SearchResult) -> Iterable[str]:
    """Yield sentences on how the numbers came about."""
    identity = result.identity
    first = next((t.epochs[0] for t in result.records if t.epochs), None)
    on = identity.selection
    images = f"the {first.total:,} {on} images" if first else f"the {on} images"
    training = f"{first.train_total:,} training images" if first else "the training images"
    epochs = plural(identity.epochs, "epoch")
    recipes: list[str] = []  # of what was trained
    if identity.engine == "surrogate":
        yield (
            f"{SURROGATE_NOTE} It was asked once for each design, with one seed of its own: for "
            f"the accuracy on {images} after each of at most {epochs}."
        )
    else:
        yield (
            f"Each design was trained once in the search, with one seed of its own, on {training} "
            f"for at most {epochs}. After each epoch it was evaluated on {images}."
        )
        recipes = [trial.candidate.recipe for trial in result.records] if first else []
    if any(map(HAS_AVERAGE.search, recipes)):
        yield (
            "What is evaluated is the exponential moving average of the weights, if the "
            "recipe has one (ema). Training accuracy is that of augmented images, during "
            "training."
        )
    if any(map(HAS_CLEAN.search, recipes)):
        yield (
            "The last epochs are without augmentation, if the recipe says so (clean), and their "
            "training accuracy is that of the images as they are."
        )
    yield (
        f"A hit is a design that reached the target {identity.rule}. Hits, the best epoch, the "
        f"pruning and the order of the leaderboard were all picked by the accuracy on the {on} "
        "images."
    )
    yield from _warn(identity, on)
    yield PRUNERS.get(identity.pruner, f"Pruning was by {identity.pruner}.") + (
        ""
        if identity.pruner == "none" or identity.consistent
        else " A trial that has hit is never stopped."
    )
    yield (
        f"The same question with {plural(identity.workers, 'worker')} on the same kind of "
        "machine, with the same versions, gives the same study, trial for trial; a row trained "
        "again gives the same accuracies."
    )
    yield "Percentages are rounded down: a miss never reads like a hit."


def _warn(identity: Identity, on: str) -> Iterable[str]:
    """Yield sentences on what else the designs profit from."""
    if on == "test":
        yield (
            "So the same images that give the accuracy have picked the design and the epoch. "
            "That is what such tasks ask for, and it flatters: of many runs of equally good "
            "designs the luckiest comes first."
            + (
                " Near 99.4% of MNIST one run's accuracy varies by about 0.05 points with the "
                "seed alone."
                if identity.dataset == "mnist"
                else ""
            )
            + " Train a design with other seeds before you believe the second decimal."
        )
    if identity.teacher:
        yield (
            "Designs learned from the answers of a trained network too, beside the labels. What "
            f"it cost is not counted: {identity.teacher.partition(': ')[2]} (its checksum is "
            f"{identity.teacher.partition(':')[0]})."
        )
    if identity.warm_start:
        yield explain_warm_start(identity.warm_start, on)
