"""Triton kernels for the layers of tiny networks on a GPU. Imported only where Triton is.

cuDNN's kernels are made for many channels: with eight or so, most of their work is padding, and
its deterministic weight gradients take longer than the rest of a step. These are direct, in
float32 with fused multiply-adds. Tensors are contiguous `(N, C, H, W)`: neighbouring threads hold
neighbouring pixels of one channel.

Sums over a batch are made in a fixed order without atomics, most of them in two stages: each
program writes its own sum, and a second kernel adds these. So a step repeats to the bit.

Triton compiles a kernel once for every set of its `constexpr` arguments. Sizes are ordinary
arguments, and not specialised on: a new design costs no compilation.

Tiles are what was fastest on an H200: docs/decisions/gpu.md.
"""

from lightsearch.engines.triton.images import warp
from lightsearch.engines.triton.layers import replace_layers, try_out
from lightsearch.engines.triton.step import advance, descend

__all__ = ["advance", "descend", "replace_layers", "try_out", "warp"]
