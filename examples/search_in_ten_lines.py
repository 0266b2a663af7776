"""A whole search in ten lines. With --quick: on the 8x8 digits, in under a minute."""

import sys

from lightsearch import search

quick = {"dataset": "digits", "target": 0.9, "trials": 3} if "--quick" in sys.argv else {}

result = search(budget=8000, epochs=15, **quick)
result.leaderboard.to_csv("leaderboard.csv")
print(result.leaderboard[["best_accuracy", "params", "design"]].to_string())
