"""Which kernels compute on a GPU: ours, written in Triton, or PyTorch's."""

from __future__ import annotations

import functools
import warnings
from types import ModuleType


def own_kernels(device: str, precision: str) -> ModuleType | None:
    """The room of our Triton kernels, if they compute there: on a GPU, in float32, where Triton
    works. In the other precisions PyTorch and cuDNN compute."""
    if not device.startswith("cuda") or precision != "float32" or not _triton_works(device):
        return None
    from lightsearch.engines import triton

    return triton


@functools.cache
def _triton_works(device: str) -> bool:
    try:
        from lightsearch.engines.triton import try_out

        try_out(device)
    except ImportError:
        return False
    except Exception as error:  # whatever a compiler may raise
        warnings.warn(
            f"PyTorch's own kernels train on {device}, not ours, since Triton does not "
            f"work there: {error}",
            stacklevel=2,
        )
        return False
    return True
