"""Time and memory to count the designs of a space.

    python benchmarks/search/counting.py

Each count runs in a process of its own: the memory is that process's peak, Python's own included.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

from lightsearch import Budget, default_space, parse, survey
from lightsearch.errors import BudgetError
from lightsearch.formatting import format_large

FAR = "[conv(8|1024,k=3|5)]*3 gap linear(10)"
POWERS = (
    "conv(16|64|256,k=3|5) [conv(16|32|64|128|256|512,k=3|5) | separable(32|64|512)]*(1|2|3|4) "
    "gap linear(10)"
)
DEEP = "[conv(8|16|24|32|48|64,k=1|3|5) | separable(8|16|24|32|48|64,k=3|5)]*200 gap linear(10)"


def write_widths(count: int) -> str:
    return "|".join(map(str, range(8, 8 + count)))


MANY = f"[conv({write_widths(64)},k=1|3|5)]*6 gap linear(10)"
HUNDREDS = f"[conv({write_widths(256)},k=1|3)]*120 gap linear(10)"
THOUSAND = f"[conv({write_widths(1000)})]*%d gap linear(10)"
CASES = {
    "two widths far apart": (FAR, (1, 8, 8), Budget(params=2700)),
    "the same, 10 million": (FAR, (1, 8, 8), Budget(params=10_000_000)),
    "powers of two": (POWERS, (3, 32, 32), Budget(params=100_000)),
    "default space": (str(default_space()), (1, 28, 28), Budget(params=8000)),
    "200 layers": (DEEP, (3, 32, 32), None),
    "200 layers, a cap": (DEEP, (3, 32, 32), Budget(params=1_000_000)),
    "200 layers, two caps": (DEEP, (3, 32, 32), Budget(params=1_000_000, macs=10**9)),
    "64 widths": (MANY, (1, 8, 8), Budget(params=8000)),
    "256 widths, 120 layers": (HUNDREDS, (1, 8, 8), Budget(params=8000)),
    "1000 widths, 100 layers": (THOUSAND % 100, (1, 8, 8), Budget(params=8000)),
    "1000 widths, 10 layers": (THOUSAND % 10, (1, 8, 8), Budget(params=8000)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--case", choices=CASES, help="only this one, in this process")
    options = parser.parse_args()
    if options.case:
        count(options.case)
        return
    print("| space | designs | within the budget | exact | processor seconds | MB |")
    print("|---|---:|---:|---|---:|---:|", flush=True)
    for case in CASES:
        subprocess.run([sys.executable, __file__, "--case", case], check=True)


def count(case: str) -> None:
    text, shape, budget = CASES[case]
    space, began = parse(text), time.process_time()
    try:
        found = survey(space, shape, 10, budget)
        designs, within = format_large(found.designs), found.describe_within()
        exact = "yes" if found.exact else "no"
    except BudgetError as error:
        designs, within, exact = "", "none", "yes" if "the smallest is" in str(error) else "no"
    seconds = time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"| {case} | {designs} | {within} | {exact} | {seconds:.1f} | {peak:.0f} |", flush=True)


if __name__ == "__main__":
    main()
