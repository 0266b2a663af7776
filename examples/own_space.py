"""A space and a recipe of your own: what may be chosen, how large it is, a search in it."""

import sys

from lightsearch import (
    Budget,
    Recipe,
    conv,
    gap,
    linear,
    maxpool,
    maybe,
    oneof,
    repeat,
    search,
    separable,
    seq,
    survey,
)

quick = {"dataset": "digits", "target": 0.9, "trials": 3} if "--quick" in sys.argv else {}
shape = (1, 8, 8) if quick else (1, 28, 28)

act = oneof("relu", "silu", name="act")  # a name makes it one decision for the whole design
space = seq(
    conv(oneof(8, 12, 16), act=act),
    repeat(separable(oneof(16, 24, 32), act=act), oneof(1, 2)),
    maxpool(),
    repeat(separable(oneof(16, 24, 32), kernel=oneof(3, 5), act=act), oneof(1, 2)),
    maybe(separable(40, act=act)),
    gap(),
    linear(10),
)
print(space)  # the same space as one line of text, for a shell or an issue

found = survey(space, shape, 10, Budget(params=5000))
print(
    f"{found.designs} designs, {found.within} with at most 5,000 parameters; "
    f"the smallest has {found.smallest_params}"
)

result = search(
    budget=5000,
    epochs=15,
    space=space,
    recipe=Recipe(lr=oneof(0.1, 0.3), rotation=7, shift=0.05, ema=0.998),
    **quick,
)
print(result.ranked(by="params")[["params", "best_accuracy", "design"]].to_string())
