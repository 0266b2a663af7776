"""Does the default sampler beat draws near the cap, at the same cost? Over several seeds.

The design is picked on held-out training images, so the test images say what was really gained.
With the same seed, both samplers start with the same 8 draws near the cap: they differ in the
later trials only.
"""

import sys

from lightsearch import compare, search

if "--quick" in sys.argv:
    seeds, common = range(2), {"budget": 1000, "epochs": 2, "target": 0.9, "trials": 10}
else:
    seeds, common = range(10), {"budget": 2000, "epochs": 12, "target": 0.95, "trials": 40}

studies = [
    search(
        dataset="digits",
        sampler=sampler,
        pruner="none",
        seed=seed,
        select_on="val",
        study=f"compare-{sampler}-{seed}",
        quiet=True,
        **common,
    )
    for seed in seeds
    for sampler in ("near-cap", "model")  # or any Optuna sampler
]
comparison = compare(studies, measure="test")
print(comparison.studies.drop(columns="folder").to_string(index=False))
print(comparison.table.drop(columns="sampler").to_string(float_format="{:.4f}".format))
print(*comparison.notes, sep="\n")
comparison.save("comparing.png")
