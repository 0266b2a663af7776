"""A network under 8,000 parameters with its table, log and analysis: course work by Friday."""

import sys

from lightsearch import search
from lightsearch.report import write_design, write_html, write_steps

quick = (
    {"budget": 2000, "dataset": "digits", "target": 0.9, "trials": 3}
    if "--quick" in sys.argv
    else {"budget": 8000}
)

# Ten designs, at most 15 epochs each. Stop with Ctrl-C; run the script again to go on.
study = "coursework-quick" if "--quick" in sys.argv else "coursework"
result = search(epochs=15, study=study, **quick)
if result.leaderboard.empty:
    sys.exit("No design has reached the target yet: give more trials and run this again.")

best = result.leaderboard.iloc[0]
print(best[["best_accuracy", "best_epoch", "last_accuracy", "params", "design"]].to_string())

result.leaderboard.to_csv("coursework.csv")  # the table
write_html(result, result.folder / "report.html")  # what was tried, with pictures
# One design in full: target, results, analysis, summary, receptive fields, log and code, with a
# training script and a notebook without lightsearch beside it. Then three designs as three steps.
write_design(result, int(best["trial"]), result.folder / "README.md")
write_steps(result, result.folder / "steps.md")
print(f"to hand in: {result.folder / 'README.md'}, steps.md, train_design_{best['trial']}.ipynb")
