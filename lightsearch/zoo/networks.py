"""The twelve networks whose layers the source documents publish, as designs.

`zoo["s1-final"].design` is a design like any other. Each entry names what it assumes because its
document does not give it. All figures are the documents' own, of one run each: test accuracy in
percent of the 10,000 MNIST test images. This file does not need torch.
"""

from __future__ import annotations

from lightsearch.design.recipe import Recipe
from lightsearch.zoo.entries import Entry, PublishedLayer, Zoo, make_entry

_CONSTANT = Recipe(lr=0.01, schedule="constant")
_CONSTANT_64 = Recipe(lr=0.01, schedule="constant", batch_size=64)

# Document 000 ------------------------------------------------------------------------------------

_S0_LARGE = make_entry(
    "s0-large",
    6_379_786,
    design="""conv(32,bias,norm=none) conv(64,bias,norm=none) maxpool conv(128,bias,norm=none)
        conv(256,bias,norm=none) maxpool conv(512,p=0,bias,norm=none)
        conv(1024,p=0,bias,norm=none) conv(10,p=0,bias,norm=none)""",
    published="""conv 320 32x28x28, conv 18496 64x28x28, maxpool 0 64x14x14,
        conv 73856 128x14x14, conv 295168 256x14x14, maxpool 0 256x7x7,
        conv 1180160 512x5x5, conv 4719616 1024x3x3, conv 92170 10x1x1""",
    accuracies="""28.03 67.12 77.61 77.98 78.21 78.50 89.73 89.69 89.82 89.78 89.78 89.71 89.78
        89.90 89.79 89.94 89.83 89.80 89.87""",
    recipe=_CONSTANT,
    given=("batch_size",),
    note="The ReLU on the ten class scores kills classes: the published run sticks at 90.",
)

_S0_SMALL = make_entry(
    "s0-small",
    72_890,
    design="""conv(16,bias) conv(16,bias) maxpool conv(32,bias) conv(32,bias) maxpool
        conv(64,p=0,bias) conv(64,p=0,bias) gap dropout(0.5) linear(10)""",
    published="""conv 160+32 16x28x28, conv 2320+32 16x28x28, maxpool 0 16x14x14,
        conv 4640+64 32x14x14, conv 9248+64 32x14x14, maxpool 0 32x7x7,
        conv 18496+128 64x5x5, conv 36928+128 64x3x3, gap 0 64x1x1, dropout 0 64x1x1,
        linear 650 10x1x1""",
    accuracies="""98.72 98.88 99.20 99.25 99.29 99.44 99.05 99.38 99.51 99.39 99.40 99.42 99.42
        99.41 99.50 99.44 99.50 99.34 99.59""",
    recipe=_CONSTANT,
    given=("batch_size",),
)

# Document 001 ------------------------------------------------------------------------------------

_S1_FINAL = make_entry(
    "s1-final",
    8_546,
    design="""conv(10,p=0,act-norm) conv(16,p=0,act-norm) conv(10,k=1) maxpool
        conv(10,p=0,act-norm) conv(32,k=1) conv(10,k=1,act-norm) conv(10,p=0,act-norm)
        conv(32,k=1) conv(10,k=1,act-norm) conv(14,p=0,act-norm) conv(16,p=0,act-norm)
        avgpool(k=4) conv(10,k=1,norm=none,act=none)""",
    published="""conv 90+20 10x26x26, conv 1440+32 16x24x24, conv 160+20 10x24x24,
        maxpool 0 10x12x12, conv 900+20 10x10x10, conv 320+64 32x10x10, conv 320+20 10x10x10,
        conv 900+20 10x8x8, conv 320+64 32x8x8, conv 320+20 10x8x8, conv 1260+28 14x6x6,
        conv 2016+32 16x4x4, avgpool 0 16x1x1, conv 160 10x1x1""",
    accuracies="""98.35 98.29 98.77 98.41 99.20 98.96 99.26 99.37 99.24 99.39 99.35 99.40 99.41
        99.37 99.40""",
    recipe=Recipe(lr=0.01, schedule="step", step_size=6, gamma=0.5),
    given=("lr", "batch_size", "gamma"),
    note="The printed learning rate halves after epochs 6 and 12 (counted from 1): read as a "
    "step schedule of 6 epochs, printed after its step. The optimizer is not named.",
)

# Document 002 ------------------------------------------------------------------------------------

_S2_FINAL = make_entry(
    "s2-final",
    7_904,
    design="""conv(32,p=0,act-norm,dropout=0.1,channel) conv(8,k=1,act-norm,dropout=0.1,channel)
        conv(10,p=0,act-norm,dropout=0.1,channel) maxpool
        conv(16,act-norm,dropout=0.1,channel) conv(10,k=1,act-norm,dropout=0.1,channel)
        conv(10,p=0,act-norm,dropout=0.1,channel) conv(16,p=0,act-norm,dropout=0.1,channel)
        conv(16,p=0,act-norm,dropout=0.1,channel) avgpool(k=6)
        conv(10,k=1,norm=none,act=none)""",
    published="""conv 288+64 32x26x26, conv 256+16 8x26x26, conv 720+20 10x24x24,
        maxpool 0 10x12x12, conv 1440+32 16x12x12, conv 160+20 10x12x12, conv 900+20 10x10x10,
        conv 1440+32 16x8x8, conv 2304+32 16x6x6, avgpool 0 16x1x1, conv 160 10x1x1""",
    best=99.41,
    epochs=15,
    recipe=Recipe(lr=0.01, schedule="constant", rotation=7.0),
    given=(),
    assumed=("dropout",),
    note="With image augmentation of a kind that is not given; within 15 epochs. 99.39 without "
    "it. The rate of the dropout of channels is not given: 0.1 is assumed.",
)

# Document 003. Its summaries print no activation after the second convolution of models 2 to 5.
_GIVEN = ("optimizer", "momentum", "lr", "batch_size")

_S3_MODEL1 = make_entry(
    "s3-model1",
    14_620,
    design="""conv(8,p=0,norm=none,dropout=0.1) conv(16,p=0,norm=none,dropout=0.1)
        conv(24,p=0,norm=none,dropout=0.1) maxpool conv(8,k=1,norm=none,act=none)
        conv(16,p=0,norm=none,dropout=0.1) conv(24,p=0,norm=none,dropout=0.1)
        conv(10,k=1,norm=none,act=none) conv(10,k=7,p=0,norm=none,act=none)""",
    published="""conv 72 8x26x26, conv 1152 16x24x24, conv 3456 24x22x22, maxpool 0 24x11x11,
        conv 192 8x11x11, conv 1152 16x9x9, conv 3456 24x7x7, conv 240 10x7x7, conv 4900 10x1x1""",
    accuracies="""95.68 97.65 98.29 98.33 98.44 98.68 98.68 98.76 98.83 98.80 98.81 98.87 98.88
        98.97 98.98""",
    recipe=_CONSTANT,
    given=_GIVEN,
)

_S3_MODEL2 = make_entry(
    "s3-model2",
    14_796,
    design="""conv(8,p=0,act-norm,dropout=0.1) conv(16,p=0,act=none,dropout=0.1)
        conv(24,p=0,act-norm,dropout=0.1) maxpool conv(8,k=1,norm=none,act=none)
        conv(16,p=0,act-norm,dropout=0.1) conv(24,p=0,act-norm,dropout=0.1)
        conv(10,k=1,norm=none,act=none) conv(10,k=7,p=0,norm=none,act=none)""",
    published="""conv 72+16 8x26x26, conv 1152+32 16x24x24, conv 3456+48 24x22x22,
        maxpool 0 24x11x11, conv 192 8x11x11, conv 1152+32 16x9x9, conv 3456+48 24x7x7,
        conv 240 10x7x7, conv 4900 10x1x1""",
    accuracies="""98.29 98.68 99.09 98.81 99.19 99.05 99.14 99.24 99.02 99.23 99.08 99.23 99.22
        99.29 99.29""",
    recipe=_CONSTANT,
    given=_GIVEN,
)

_S3_MODEL3 = make_entry(
    "s3-model3",
    3_928,
    design="""conv(8,p=0,act-norm,dropout=0.1) conv(8,p=0,act=none,dropout=0.1)
        conv(16,p=0,act-norm,dropout=0.1) maxpool conv(8,k=1,norm=none,act=none)
        conv(8,p=0,act-norm,dropout=0.1) conv(16,p=0,act-norm,dropout=0.1)
        conv(10,k=1,norm=none,act=none) avgpool(k=7)""",
    published="""conv 72+16 8x26x26, conv 576+16 8x24x24, conv 1152+32 16x22x22,
        maxpool 0 16x11x11, conv 128 8x11x11, conv 576+16 8x9x9, conv 1152+32 16x7x7,
        conv 160 10x7x7, avgpool 0 10x1x1""",
    best=98.51,
    epochs=15,
    recipe=_CONSTANT,
    given=(),
    assumed=("dropout", "epochs"),
    note="No log and no recipe: those of models 1 and 2 are assumed.",
)

_S3_MODEL4 = make_entry(
    "s3-model4",
    7_416,
    design="""conv(8,p=0,act-norm,dropout=0.15) conv(16,p=0,act=none,dropout=0.15)
        conv(16,p=0,act-norm,dropout=0.15) maxpool conv(8,k=1,norm=none,act=none)
        conv(16,p=0,act-norm,dropout=0.15) conv(16,p=0,act-norm,dropout=0.15)
        conv(10,k=1,norm=none,act=none) avgpool(k=7)""",
    published="""conv 72+16 8x26x26, conv 1152+32 16x24x24, conv 2304+32 16x22x22,
        maxpool 0 16x11x11, conv 128 8x11x11, conv 1152+32 16x9x9, conv 2304+32 16x7x7,
        conv 160 10x7x7, avgpool 0 10x1x1""",
    accuracies="""92.58 97.43 98.01 98.14 98.39 98.45 98.71 98.72 99.04 98.98 99.03 98.92 98.85
        99.09 99.02""",
    recipe=_CONSTANT,
    given=("batch_size",),
    note="99.13 at best with dropout 0.075. Optimizer and rate are those of models 1 and 2.",
)

_S3_MODEL5 = make_entry(
    "s3-model5",
    8_018,
    design="""conv(6,p=0,act-norm,dropout=0.1) conv(16,p=0,act=none,dropout=0.1)
        conv(20,p=0,act-norm,dropout=0.1) maxpool conv(6,k=1,norm=none,act=none)
        conv(16,p=0,act-norm,dropout=0.1) conv(20,act-norm,dropout=0.1) avgpool(k=9)
        conv(10,k=1,norm=none,act=none)""",
    published="""conv 54+12 6x26x26, conv 864+32 16x24x24, conv 2880+40 20x22x22,
        maxpool 0 20x11x11, conv 120 6x11x11, conv 864+32 16x9x9, conv 2880+40 20x9x9,
        avgpool 0 20x1x1, conv 200 10x1x1""",
    accuracies="""92.27 97.82 96.89 98.14 98.41 98.68 98.59 99.02 98.91 98.88 98.96 99.10 98.93
        99.03 99.05 99.07 99.13 99.09 99.15 99.10 99.17 99.05 99.26 99.19 99.29""",
    recipe=Recipe(lr=0.01, schedule="constant", rotation=7.0),
    given=("batch_size",),
    note="25 epochs, with image augmentation of a kind that is not given; 99.05 after 15 epochs. "
    "Optimizer and rate are those of models 1 and 2.",
)

# Document 004 ------------------------------------------------------------------------------------

_S4_MODEL1 = make_entry(
    "s4-model1",
    13_808,
    design="""conv(16,p=0,act-norm,dropout=0.1) conv(32,p=0,act-norm,dropout=0.1)
        conv(10,k=1,norm=none,act=none) maxpool conv(16,p=0,act-norm,dropout=0.1)
        conv(16,p=0,act-norm,dropout=0.1) conv(16,p=0,act-norm,dropout=0.1)
        conv(16,act-norm,dropout=0.1) avgpool(k=6) conv(10,k=1,norm=none,act=none)""",
    published="""conv 144+32 16x26x26, conv 4608+64 32x24x24, conv 320 10x24x24,
        maxpool 0 10x12x12, conv 1440+32 16x10x10, conv 2304+32 16x8x8, conv 2304+32 16x6x6,
        conv 2304+32 16x6x6, avgpool 0 16x1x1, conv 160 10x1x1""",
    accuracies="""98.21 98.24 99.02 99.13 99.12 99.20 99.24 99.24 99.34 99.23 99.26 99.35 99.37
        99.38 99.41""",
    recipe=_CONSTANT_64,
    given=("batch_size",),
)

_S4_MODEL2 = make_entry(
    "s4-model2",
    5_048,
    design="""conv(8,p=0,act-norm,dropout=0.1) conv(16,p=0,act-norm,dropout=0.1)
        conv(8,k=1,norm=none,act=none) maxpool conv(12,p=0,act-norm,dropout=0.1)
        conv(12,p=0,act-norm,dropout=0.1) conv(12,act-norm,dropout=0.1) avgpool(k=8)
        conv(10,k=1,norm=none,act=none)""",
    published="""conv 72+16 8x26x26, conv 1152+32 16x24x24, conv 128 8x24x24, maxpool 0 8x12x12,
        conv 864+24 12x10x10, conv 1296+24 12x8x8, conv 1296+24 12x8x8, avgpool 0 12x1x1,
        conv 120 10x1x1""",
    accuracies="""97.72 97.70 98.43 98.65 98.60 98.65 98.96 99.03 98.82 98.81 98.96 99.07 98.97
        99.08 98.98""",
    recipe=_CONSTANT_64,
    given=("batch_size",),
)

_S4_MODEL3 = make_entry(
    "s4-model3",
    7_902,
    design="""conv(10,p=0,gelu,act-norm,dropout=0.03) conv(14,p=0,gelu,act-norm,dropout=0.03)
        conv(10,k=1,norm=none,act=none) maxpool
        residual([conv(14,p=0,gelu,act-norm,dropout=0.03)],project)
        residual([conv(14,p=0,gelu,act-norm,dropout=0.03)
        conv(12,p=0,gelu,act-norm,dropout=0.03)],project)
        conv(12,gelu,act-norm,dropout=0.03) gate avgpool(k=6)
        conv(10,k=1,norm=none,act=none)""",
    published="""conv 90+20 10x26x26, conv 1260+28 14x24x24, conv 140 10x24x24,
        maxpool 0 10x12x12, conv 1260+28 14x10x10, add 140 14x10x10, conv 1764+28 14x8x8,
        conv 1512+24 12x6x6, add 168 12x6x6, conv 1296+24 12x6x6, gate 0 12x6x6,
        avgpool 0 12x1x1, conv 120 10x1x1""",
    accuracies="""97.96 98.43 98.81 99.05 99.11 98.99 99.28 99.14 99.15 99.18 99.21 99.44 99.26
        99.39 99.23""",
    recipe=_CONSTANT_64,
    given=("batch_size",),
    note="A second published run, on a GPU with batches of 128: 97.19 98.58 98.76 98.69 98.68 "
    "98.69 99.10 99.32 99.24 99.17 99.08 99.32 99.25 99.44 99.43.",
)

zoo = Zoo(
    (
        _S0_LARGE,
        _S0_SMALL,
        _S1_FINAL,
        _S2_FINAL,
        _S3_MODEL1,
        _S3_MODEL2,
        _S3_MODEL3,
        _S3_MODEL4,
        _S3_MODEL5,
        _S4_MODEL1,
        _S4_MODEL2,
        _S4_MODEL3,
    )
)
"""The twelve networks of the source documents, by name."""

__all__ = ["Entry", "PublishedLayer", "Zoo", "zoo"]
