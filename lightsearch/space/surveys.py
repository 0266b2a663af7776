"""What is known of a space's designs: how many there are, and how many are within the budget."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lightsearch.checks import check_integer
from lightsearch.design.parts import Design
from lightsearch.formatting import caps_text, format_large
from lightsearch.network.cost import Budget
from lightsearch.presentation import Presented, Sheet

SHORT = 0.5
"""The share of the cap on parameters below which a space is said to fall short of it.

On MNIST at 8,000 parameters none of six designs with less than half of them reached 99.4, and 12
of 22 with more did (docs/benchmarks/search.md): there a larger space is what helps most."""


@dataclass(frozen=True, slots=True, repr=False)
class Survey(Presented):
    """The number of designs of a space. A design counts as an assignment of active decisions.

    - `designs`: the number of valid designs: every layer fits, the output has one value a class.
    - `within`: the number of valid designs within the budget.
    - `exact`: whether both are exact. If not, `method` names the estimator, and
      `designs_interval` and `interval` are 95% intervals of what is estimated.
    - `counts`: (parameters, number of designs), in rising order.
    - `beyond`: the number of designs with more parameters than `counts` shows.
    - `smallest`, `smallest_params`, `decisions`: the design with the fewest parameters, and its
      record. If `designs` is an estimate, it is the smallest design drawn.
    - `largest`, `largest_params`: the design with the most parameters of those within the budget,
      or of those drawn if `within` is an estimate; None if no draw was within.
    - `guided`: whether no uniform draw was within the budget, so that a search's draws are guided
      there (`Sampler`). Then `interval` says more than `within`, which is 1.
    - `assignments`: the number of assignments, valid or not; None if there are too many to count.
    """

    designs: int
    within: int
    exact: bool
    method: str
    designs_interval: tuple[int, int] | None
    interval: tuple[int, int] | None
    counts: tuple[tuple[int, int], ...]
    beyond: int
    smallest: Design
    smallest_params: int
    decisions: tuple[tuple[str, int], ...]
    largest: Design | None
    largest_params: int | None
    guided: bool
    assignments: int | None
    budget: Budget

    @property
    def falls_short(self) -> bool:
        """Whether the largest design within the budget has less than half of the parameters."""
        cap = self.budget.params
        return (
            cap is not None
            and self.largest_params is not None
            and self.largest_params < SHORT * cap
        )

    def _sheet(self) -> Sheet:
        about = "" if self.exact else "about "
        caps = caps_text(self.budget)
        lines = [
            ("designs", f"{about}{format_large(self.designs)}"),
            ("within", self.describe_within() + (f", of at most {caps}" if caps else "")),
            ("smallest", f"{self.smallest_params:,} parameters: {self.smallest}"),
        ]
        if self.largest is not None:
            lines.append(("largest", f"{self.largest_params:,} parameters: {self.largest}"))
        if not self.exact:
            lines.append(("method", self.method))
        classes = ((f"{a:,} - {b:,}", format_large(n)) for a, b, n in self.histogram(10))
        return Sheet("Survey of a space", tuple(lines), ("params", "designs"), tuple(classes))

    def describe_within(self) -> str:
        """Return the number of designs within the budget for people, or its interval if guided."""
        if self.guided and self.interval is not None:
            low, high = (format_large(count) for count in self.interval)
            return f"{low} to {high} (draws are guided)"
        return format_large(self.within)

    def explain_shortfall(self) -> str:
        """Say that the space falls short of the cap on parameters, and what helps; else ""."""
        if not self.falls_short:
            return ""
        drawn = "" if self.exact else "drawn "
        caps = self.budget.macs or self.budget.activation_bytes
        helps = ", or looser caps on MACs and activations," if caps else ""
        return (
            f"the largest design {drawn}within the budget has {self.largest_params:,} parameters, "
            f"less than half of the {self.budget.params:,} allowed: a space with wider or more "
            f"layers{helps} would use them"
        )

    def histogram(self, bins: int = 20) -> tuple[tuple[int, int, int], ...]:
        """Return (fewest parameters, most parameters, designs) of `bins` equally wide classes.

        The designs `beyond` the counts are in none of them.
        """
        bins = check_integer("bins", bins, 1, 10**6)
        low, high = self.counts[0][0], self.counts[-1][0]
        width = max(1, math.ceil((high - low + 1) / bins))
        sums = [0] * math.ceil((high - low + 1) / width)
        for params, count in self.counts:
            sums[(params - low) // width] += count
        return tuple(
            (low + width * k, low + width * (k + 1) - 1, count) for k, count in enumerate(sums)
        )
