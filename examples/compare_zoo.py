"""The zoo's networks side by side, and one of them trained with the default recipe."""

import sys

from lightsearch import DEFAULT_RECIPE, Task, cost, load, train, zoo
from lightsearch.data import DataRef

for name, entry in zoo.items():
    spent = cost(entry.design, (1, 28, 28))
    print(
        f"{name:10} {spent.params:9,} parameters {spent.macs:12,} MACs "
        f"receptive field {spent.receptive_field:3}  published best {entry.best:.2f}%"
    )

if "--quick" not in sys.argv:  # 15 epochs of MNIST: five to fifteen minutes on one core
    data = load("mnist")
    task = Task(
        zoo["s1-final"].design,
        DEFAULT_RECIPE,
        DataRef(data.name, data.checksum),
        epochs=15,
        seed=0,
    )
    for epoch in train(task):
        print(f"epoch {epoch.epoch:2}: {100 * epoch.accuracy:.2f}% of the test images")
