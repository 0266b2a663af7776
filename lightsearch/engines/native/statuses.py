"""What the status of a call into the library says."""

from __future__ import annotations

from torch import Tensor

from lightsearch.engines.native.interface import Status
from lightsearch.engines.stopping import EpochStopped
from lightsearch.errors import EngineError


def check_status(
    status: int, part: str, labels: Tensor, classes: int, images: Tensor | None
) -> None:
    """Raise an error unless a call on `images` of a part, or on all of it, has done its work.

    Raises `EpochStopped`, or `EngineError` for an index of no image and a label of no class.
    """
    count = len(labels)
    if status == Status.STOPPED:
        raise EpochStopped("the epoch was asked to stop")
    if status == Status.NO_SUCH_IMAGE and images is not None:
        wrong = images[(images < 0) | (images >= count)][0]
        raise EngineError(
            f"an index of a {part} image must be from 0 to {count - 1}, but got {int(wrong)}"
        )
    if status == Status.NO_SUCH_CLASS:
        met = labels if images is None else labels[images]
        wrong = met[(met < 0) | (met >= classes)][0]
        raise EngineError(
            f"a label of a {part} image must be from 0 to {classes - 1}, but got {int(wrong)}"
        )
