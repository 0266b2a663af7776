"""Does the default sampler beat draws near the cap, at the same cost? Over several seeds.

The design is picked on held-out training images, so the test images say what was really gained.
With the same seed, both samplers start with the same 8 draws near the cap: they differ in the
later trials only.
"""

import sys

import pandas as pd
from scipy.stats import ttest_rel

from lightsearch import search

if "--quick" in sys.argv:
    seeds, common = range(2), {"budget": 1000, "epochs": 2, "target": 0.9, "trials": 10}
else:
    seeds, common = range(10), {"budget": 2000, "epochs": 12, "target": 0.95, "trials": 40}

rows = []
for seed in seeds:
    for sampler in ("near-cap", "model"):  # or any Optuna sampler
        result = search(
            dataset="digits",
            sampler=sampler,
            pruner="none",
            seed=seed,
            select_on="val",
            study=f"compare-{sampler}-{seed}",
            quiet=True,
            **common,
        )
        ended = result.trials[result.trials["outcome"] == "complete"]
        picked = ended.sort_values("best_accuracy", ascending=False).iloc[0]
        rows.append(
            {
                "seed": seed,
                "sampler": sampler,
                "hits": len(result.leaderboard),
                "epochs": int(result.trials["epochs_trained"].sum()),
                "selected": picked["best_accuracy"],
                "test": picked["test_accuracy"],
            }
        )

table = pd.DataFrame(rows)
table.to_csv("comparing.csv", index=False)
print(table.to_string(index=False, float_format="{:.4f}".format))

wide = table.pivot(index="seed", columns="sampler", values="test")
difference = wide["model"] - wide["near-cap"]
if difference.std() > 0:
    low, high = ttest_rel(wide["model"], wide["near-cap"]).confidence_interval(0.95)
    print(
        f"model minus near-cap, test accuracy of the design picked: {difference.mean():+.4f}, "
        f"95% interval {low:+.4f} to {high:+.4f} over {len(wide)} seeds"
    )
else:
    print(f"no difference in any of {len(wide)} seeds")
