"""Random designs that fit their input, for tests that judge `cost` and `build`.

`nasty` has odd combinations of the first layers, `rich` of all; `uneven` has
what only PyTorch computes, as windows of two numbers; `plain` is stacks and separable
chains; `default` is drawn from the default space. `local`, `loose` and `valid` have only windows,
for measuring receptive fields; in `local` the bodies of residuals see all that their shortcuts do.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TypeAlias

from hypothesis import strategies as st

from lightsearch.design import (
    Layer,
    Seq,
    act,
    adaptive,
    add,
    avgpool,
    chooser,
    concat,
    conv,
    decode,
    depthwise,
    dropout,
    gap,
    gate,
    ghost,
    inverted,
    linear,
    loop,
    maxpool,
    norm,
    pad,
    residual,
    se,
    separable,
    seq,
    shuffle,
    split,
    widen,
)
from lightsearch.design.words import ACTIVATIONS, AFFINES, BORDERS, NORMS, POOLS
from lightsearch.errors import DesignError
from lightsearch.network.lowering import lower, lower_all
from lightsearch.shapes import Shape, elements
from lightsearch.space.default import default_space

Drawn: TypeAlias = tuple[Seq, Shape]
Sides: TypeAlias = int | tuple[int, int]
Make: TypeAlias = Callable[[Random], Drawn]
_ACTS = ("relu", "gelu", "silu", "hardswish", "none")
_MAX_ELEMENTS = 12_000
NATIVE_BORDERS = ("zeros", "reflect", "replicate")


def _tail(rng: Random) -> dict[str, object]:
    return {
        "bias": rng.random() < 0.3,
        "norm": rng.choice(("batch", "none")),
        "act": rng.choice(_ACTS),
        "order": rng.choice(("norm-act", "act-norm")),
        "dropout": rng.choice((0.0, 0.0, 0.1, 0.5)),
        "per": rng.choice(("element", "channel")),
    }


def _window(rng: Random, stride: int = 3, excess: int = 1) -> dict[str, int]:
    kernel = rng.randint(1, 5)
    return {
        "kernel": kernel,
        "stride": rng.choice((1, 1, rng.randint(1, stride))),
        "padding": rng.randint(0, kernel - 1 + excess),
    }


def _pair(rng: Random, low: int, high: int) -> Sides:
    """One number, or more often two."""
    one = rng.randint(low, high)
    return one if rng.random() < 0.3 else (one, rng.randint(low, high))


def _both(value: Sides) -> tuple[int, int]:
    return value if isinstance(value, tuple) else (value, value)


def _uneven_window(rng: Random, stride: int = 3, excess: int = 1) -> dict[str, Sides]:
    kernel = _pair(rng, 1, 5)
    height, width = _both(kernel)
    padding = rng.randint(0, height - 1 + excess), rng.randint(0, width - 1 + excess)
    return {"kernel": kernel, "stride": _pair(rng, 1, stride), "padding": padding}


def _uneven_pool(rng: Random) -> Layer:
    kernel = _pair(rng, 1, 4)
    height, width = _both(kernel)
    padding = rng.randint(0, height // 2), rng.randint(0, width // 2)
    return rng.choice((maxpool, avgpool))(kernel, _pair(rng, 1, 3), padding)


def _conv(rng: Random, shape: Shape) -> Layer:
    divisors = [n for n in range(1, shape[0] + 1) if shape[0] % n == 0]
    groups = rng.choice((1, rng.choice(divisors)))
    return conv(groups * rng.randint(1, 5), groups=groups, **_window(rng), **_tail(rng))  # type: ignore[arg-type]


def _depthwise(rng: Random, shape: Shape) -> Layer:
    return depthwise(multiplier=rng.randint(1, 3), **_window(rng), **_tail(rng))  # type: ignore[arg-type]


def _separable(rng: Random, shape: Shape) -> Layer:
    return separable(rng.randint(1, 12), inner=rng.random() < 0.5, **_window(rng), **_tail(rng))  # type: ignore[arg-type]


def _pool(rng: Random, shape: Shape) -> Layer:
    kernel = rng.randint(1, 4)
    pool = rng.choice((maxpool, avgpool))
    return pool(kernel, stride=rng.randint(1, 4), padding=rng.randint(0, kernel // 2))


def _residual(make: Callable[[Random, Shape, int], Seq]) -> Callable[[Random, Shape, int], Layer]:
    def drawn(rng: Random, shape: Shape, depth: int) -> Layer:
        body = make(rng, shape, depth - 1)
        if not body.parts:
            raise DesignError("nothing fits")
        same = lower_all(body, shape)[-1].shape[0] == shape[0]
        shortcut = "identity" if same and rng.random() < 0.5 else "project"
        return residual(body, shortcut=shortcut, act=rng.choice(_ACTS))

    return drawn


def _loop(rng: Random, shape: Shape, depth: int) -> Layer:
    """Layers that keep the shape, several times."""
    body = [_keeping(rng, shape, depth - 1) for _ in range(rng.randint(1, 2))]
    return loop(body, rng.randint(1, 3), share=rng.choice(("all", "all", "depthwise")))


def _keeping(rng: Random, shape: Shape, depth: int) -> Layer | Seq:
    window = {"kernel": rng.choice((1, 3)), "padding": "same"}
    makers: list[Callable[[], Layer | Seq]] = [
        lambda: separable(shape[0], inner=rng.random() < 0.5, **window, **_tail(rng)),  # type: ignore[arg-type]
        lambda: conv(shape[0], **window, **_tail(rng)),  # type: ignore[arg-type]
        lambda: depthwise(**window, **_tail(rng)),  # type: ignore[arg-type]
        lambda: rng.choice((maxpool, avgpool))(3, stride=1, padding=1),
        lambda: rng.choice((gate(), se(rng.randint(1, 8)), dropout(0.1))),
    ]
    if depth > 0:
        shortcut = rng.choice(("identity", "project"))
        makers += [
            lambda: _loop(rng, shape, depth),
            lambda: residual(_keeping(rng, shape, depth - 1), shortcut=shortcut),
            lambda: seq(  # to another size and back
                residual(conv(shape[0], padding=2, act="none"), shortcut=shortcut),
                conv(shape[0], padding=0),
            ),
        ]
    return rng.choice(makers)()


def _nasty_layer(rng: Random, shape: Shape, depth: int) -> Layer:
    if rng.random() < 0.1:
        return rng.choice(
            (gap(), linear(rng.randint(1, 12), bias=rng.random() < 0.5, act=rng.choice(_ACTS)))
        )
    if depth > 0 and rng.random() < 0.25:
        return _residual(lambda r, s, d: _chain(r, s, d, 3, _nasty_layer))(rng, shape, depth)
    if depth > 0 and rng.random() < 0.15:
        return _loop(rng, shape, depth)
    if rng.random() < 0.25:
        return rng.choice(
            (
                gate(),
                se(rng.randint(1, 8)),
                dropout(rng.choice((0.1, 0.5)), per=rng.choice(("element", "channel"))),
            )
        )
    return rng.choice((_conv, _conv, _depthwise, _separable, _pool))(rng, shape)


def _local_layer(rng: Random, shape: Shape, depth: int) -> Layer:
    tail = {"norm": rng.choice(("batch", "none")), "act": rng.choice(_ACTS)}
    if depth < 1:  # inside a residual: a stride of 1, and no more padding than the window covers
        return conv(rng.randint(1, 3), **_window(rng, 1, 0), **tail)  # type: ignore[arg-type]
    if rng.random() < 0.3:
        return _residual(lambda r, s, d: _chain(r, s, d, 2, _local_layer))(rng, shape, depth)
    if rng.random() < 0.3:
        return _pool(rng, shape)
    if rng.random() < 0.2:
        return depthwise(**_window(rng, 2), **tail)  # type: ignore[arg-type]
    return conv(rng.randint(1, 3), **_window(rng, 2), **tail)  # type: ignore[arg-type]


def _loose_layer(rng: Random, shape: Shape, depth: int) -> Layer:
    if depth > 0 and rng.random() < 0.6:
        return _residual(lambda r, s, d: _chain(r, s, d, 3, _loose_layer))(rng, shape, depth)
    if rng.random() < 0.5:
        return _pool(rng, shape)
    return conv(rng.randint(1, 3), **_window(rng, 3, 2))  # type: ignore[arg-type]


def _valid_layer(rng: Random, shape: Shape, depth: int) -> Layer:
    kernel = rng.randint(1, 4)
    if rng.random() < 0.3:
        return rng.choice((maxpool, avgpool))(kernel, stride=rng.randint(1, 3))
    return conv(rng.randint(1, 3), kernel=kernel, stride=rng.randint(1, 2), padding=0)


def _rich_tail(rng: Random, channels: int) -> dict[str, object]:
    """Any norm and any activation, for a convolution to `channels`."""
    return _tail(rng) | {
        "norm": rng.choice(NORMS),
        "norm_groups": rng.choice([n for n in range(1, channels + 1) if channels % n == 0]),
        "affine": rng.choice(AFFINES),
        "act": rng.choice(ACTIVATIONS),
    }


def _branches(rng: Random, shape: Shape, depth: int) -> Layer:
    """Two branches of the same size, one of which may be empty, at times in a loop."""
    first = seq([_keeping(rng, shape, depth - 1) for _ in range(rng.randint(0, 2))])
    if rng.random() < 0.3:
        first = _chain(rng, shape, depth - 1, 2, _rich_layer)
    channels, *size = lower_all(first, shape)[-1].shape if first.parts else shape
    if tuple(size) == shape[1:]:
        last: Seq | Layer = seq() if rng.random() < 0.3 else conv(channels, 1, norm="layer")
    else:
        last = seq(gap(), linear(channels)) if size == [1, 1] else seq(first)
    pair = (first, last) if rng.random() < 0.5 else (last, first)
    if rng.random() < 0.4:
        return concat(*pair)
    made = add(*pair, act=rng.choice(ACTIVATIONS))
    return loop(made, 2) if lower(made, shape).shape == shape and rng.random() < 0.5 else made


def _rich_layer(rng: Random, shape: Shape, depth: int) -> Layer:
    """The layers that `nasty` lacks, and those of `nasty`."""
    if rng.random() < 0.3:
        return _nasty_layer(rng, shape, 0)
    if depth > 0 and rng.random() < 0.2:
        return _residual(lambda r, s, d: _chain(r, s, d, 3, _rich_layer))(rng, shape, depth)
    if depth > 0 and rng.random() < 0.5:
        return _branches(rng, shape, depth)
    channels, out = shape[0], rng.randint(1, 12)
    border = rng.choice(("zeros", "zeros", *NATIVE_BORDERS))
    window = {**_window(rng), "dilation": rng.randint(1, 3), "border": border}
    divisors = [n for n in range(1, channels + 1) if channels % n == 0]
    loose = {"last_bias": rng.random() < 0.5, "inner": rng.random() < 0.5}
    makers: list[Callable[[], Layer]] = [
        lambda: conv(out, **window, **_rich_tail(rng, out)),  # type: ignore[arg-type]
        lambda: depthwise(**window, **_rich_tail(rng, channels)),  # type: ignore[arg-type]
        lambda: separable(out, **window, **loose, **_rich_tail(rng, out)),  # type: ignore[arg-type]
        lambda: norm(rng.choice(NORMS), rng.choice(divisors), rng.choice(AFFINES)),
        lambda: act(rng.choice(ACTIVATIONS), slope=rng.choice((0.01, 0.2))),
        lambda: linear(out, act=rng.choice(ACTIVATIONS)),
        lambda: split(rng.randrange(divisors[-1]), divisors[-1]),
        lambda: inverted(rng.choice((channels, out)), rng.randint(1, 3), 3, rng.randint(1, 2)),
        lambda: ghost(2 * out),
        lambda: split(0, rng.choice(divisors)),
        lambda: shuffle(rng.choice(divisors)),
        lambda: widen(channels + rng.randint(0, 5)),
        lambda: pad(rng.randint(0, 2), rng.randint(0, 2), rng.choice(NATIVE_BORDERS)),
        lambda: loop(conv(channels, **_rich_tail(rng, channels)), rng.randint(2, 3)),  # type: ignore[arg-type]
    ]
    return rng.choice(makers)()


def _uneven_layer(rng: Random, shape: Shape, depth: int) -> Layer:
    """Windows of two numbers, in blocks too, and the layers of `rich`."""
    if rng.random() < 0.2:
        return _rich_layer(rng, shape, 0)
    if depth > 0 and rng.random() < 0.3:
        if rng.random() < 0.5:
            return _residual(lambda r, s, d: _chain(r, s, d, 3, _uneven_layer))(rng, shape, depth)
        body = _chain(rng, shape, depth - 1, 2, _uneven_layer)
        return rng.choice((add(body, body), concat(body, body)))
    channels, out = shape[0], rng.randint(1, 12)
    border = rng.choice(("zeros", *BORDERS))
    window = {**_uneven_window(rng), "dilation": _pair(rng, 1, 3), "border": border}
    sides = {"kernel": (rng.choice((1, 3, 5)), 3), "padding": "same"}
    makers: list[Callable[[], Layer]] = [
        lambda: conv(out, **window, **_rich_tail(rng, out)),  # type: ignore[arg-type]
        lambda: depthwise(**window, **_rich_tail(rng, channels)),  # type: ignore[arg-type]
        lambda: separable(out, **window, **_rich_tail(rng, out)),  # type: ignore[arg-type]
        lambda: _uneven_pool(rng),
        lambda: adaptive(_pair(rng, 1, 7), rng.choice(POOLS)),
        lambda: loop(conv(channels, **sides), rng.randint(2, 3)),  # type: ignore[arg-type]
        lambda: pad((rng.randint(0, 2), 1), (rng.randint(0, 2), 0), rng.choice(BORDERS)),
        lambda: inverted(rng.choice((channels, out)), 2, (3, 1), (rng.randint(1, 2), 1)),
        lambda: ghost(2 * out, (1, 3)),
    ]
    return rng.choice(makers)()


def _uneven_local_layer(rng: Random, shape: Shape, depth: int) -> Layer:
    """A window of two numbers, or a residual of such."""
    if depth < 1:  # inside a residual: a stride of 1, and no more padding than the window covers
        return conv(rng.randint(1, 3), **_uneven_window(rng, 1, 0))  # type: ignore[arg-type]
    if rng.random() < 0.3:
        return _residual(lambda r, s, d: _chain(r, s, d, 2, _uneven_local_layer))(
            rng, shape, depth
        )
    if rng.random() < 0.3:
        return _uneven_pool(rng)
    return conv(rng.randint(1, 3), **_uneven_window(rng, 2))  # type: ignore[arg-type]


def _chain(
    rng: Random,
    shape: Shape,
    depth: int,
    longest: int,
    layer: Callable[[Random, Shape, int], Layer],
) -> Seq:
    parts: list[Layer] = []
    for _ in range(rng.randint(1, longest)):
        try:
            part = layer(rng, shape, depth)
            after = lower(part, shape).shape
        except DesignError:
            continue
        if elements(after) <= _MAX_ELEMENTS or elements(after) <= elements(shape):
            parts.append(part)
            shape = after
    return seq(parts)


def nasty(rng: Random) -> Drawn:
    """Anything: odd windows, groups, biases, nested residuals, linear layers in the middle."""
    shape = (rng.randint(1, 3), rng.randint(3, 24), rng.randint(3, 24))
    return _chain(rng, shape, 2, 6, _nasty_layer), shape


def rich(rng: Random) -> Drawn:
    """Every norm and activation, dilation, and layers that combine branches."""
    shape = (rng.randint(1, 4), rng.randint(3, 20), rng.randint(3, 20))
    return _chain(rng, shape, 2, 5, _rich_layer), shape


def uneven(rng: Random) -> Drawn:
    """What only PyTorch computes: windows of two numbers, adaptive pooling, circular borders."""
    shape = (rng.randint(1, 4), rng.randint(3, 20), rng.randint(3, 20))
    return _chain(rng, shape, 2, 5, _uneven_layer), shape


def plain(rng: Random) -> Drawn:
    """Like the default space: 3x3 convolutions, a pool or two, an average, class scores."""
    parts: list[Layer] = [conv(rng.choice((8, 12, 16)))]
    for index in range(rng.randint(2, 6)):
        out, act = rng.choice((8, 12, 16, 24)), rng.choice(_ACTS)
        parts.append(
            rng.choice((conv, separable))(
                out,
                act=act,
                order=rng.choice(("norm-act", "act-norm")),
                dropout=rng.choice((0.0, 0.05)),
            )
        )
        if index in (1, 3) and rng.random() < 0.7:
            parts.append(maxpool())
    head = (
        [gap(), linear(10)]
        if rng.random() < 0.5
        else [conv(10, kernel=1, norm="none", act="none"), gap()]
    )
    return seq(parts, head), (1, 28, 28)


def default(rng: Random) -> Drawn:
    """From the default space, each choice alike; in one of three image sizes."""
    shape = rng.choice(((1, 28, 28), (3, 32, 32), (3, 64, 48)))
    while True:
        design = decode(default_space(shape, 10), chooser(rng))
        try:
            lower_all(design, shape)
        except DesignError:
            continue
        return design, shape


def local(rng: Random) -> Drawn:
    """Windows only, on an input large enough to see an unclipped receptive field."""
    shape = (rng.randint(1, 2), 150, 163)
    return _chain(rng, shape, 1, 5, _local_layer), shape


def uneven_local(rng: Random) -> Drawn:
    """As `local`, with windows of two numbers."""
    shape = (rng.randint(1, 2), 150, 163)
    return _chain(rng, shape, 1, 5, _uneven_local_layer), shape


def loose(rng: Random) -> Drawn:
    """Windows only, and residuals whose resized shortcuts may see what their bodies do not."""
    shape = (rng.randint(1, 2), rng.randint(20, 60), rng.randint(20, 60))
    return _chain(rng, shape, 2, 4, _loose_layer), shape


def valid(rng: Random) -> Drawn:
    """Windows without padding, then a layer that sees all that is left."""
    shape = (rng.randint(1, 2), rng.randint(12, 40), rng.randint(12, 40))
    return seq(_chain(rng, shape, 0, 4, _valid_layer), rng.choice((gap(), linear(3)))), shape


@st.composite
def drawn(draw: st.DrawFn, make: Make) -> Drawn:
    """What `make` gives, from a generator that hypothesis can shrink."""
    return make(draw(st.randoms(use_true_random=False)))
