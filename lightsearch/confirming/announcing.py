"""What a confirmation says while it runs: its plan, each run, each design at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from lightsearch.confirming.halving import halving_rounds
from lightsearch.confirming.request import Pick
from lightsearch.confirming.runs import Over
from lightsearch.formatting import percent, plural
from lightsearch.study.confirmations import Confirmation
from lightsearch.study.figures import describe_images
from lightsearch.study.ledger import Ledger


def announce(
    runs: Iterator[Over], picks: Sequence[Pick], ledger: Ledger, *, halving: bool, kept: bool
) -> Iterator[str]:
    """A line for the plan, for each run that is over, and for each design at the end."""
    terms = ledger.terms
    designs = plural(len(picks), "design")
    rounds = halving_rounds(len(picks), terms.seeds) if halving else []
    yield (
        f"Confirming {designs} with {'up to ' * (len(rounds) > 1)}{terms.seeds} fresh seeds each, "
        f"{plural(terms.epochs, 'epoch')} a seed, on "
        f"{describe_images(ledger.runs[picks[0].key].on)}: is the mean of the last epoch at "
        f"{percent(Fraction(terms.target))}?"
    )
    if len(rounds) > 1:
        plan = ", ".join(f"{count} with {seeds}" for count, seeds in rounds)
        yield f"  by halving; designs left, with so many seeds each: {plan}"
    there = sum(len(ledger.whole(pick.key)) for pick in picks)
    if there:
        yield f"  {plural(there, 'run')} of them {'is' if there == 1 else 'are'} there already"
    if kept:
        yield f"  kept in {ledger.folder}; the same call continues"
    order = {pick.key: number for number, pick in enumerate(picks, 1)}
    for job, result in runs:
        planned = ledger.runs[job.key].seeds
        right, total = ledger.count_correct(job.key, job.task.seed)
        yield (
            f"  design {order[job.key]}/{len(picks)}  seed {planned.index(job.task.seed) + 1}/"
            f"{len(planned)} ({job.task.seed})  {percent(right / total)} on "
            f"{describe_images(ledger.runs[job.key].on)}, {result.seconds * terms.epochs:.0f} s"
        )
    found = {(c.design, c.recipe): c for c in ledger.confirmations()}
    for pick in picks:
        yield f"{describe_confirmation(found[pick.key])}: {pick.task.design}"


def describe_confirmation(one: Confirmation) -> str:
    """A confirmation in a line."""
    sample = one.sample
    if len(sample) < 2:
        return f"{one.outcome}, {len(sample)} of {one.planned} seeds on {describe_images(one.on)}"
    return (
        f"{one.outcome}, {len(sample)} of {one.planned} seeds on {describe_images(one.on)}: mean "
        f"{percent(sample.mean, 3)}, sd {100 * sample.sd:.3f}, min "
        f"{percent(min(sample.correct) / sample.total)}, lower bound "
        f"{percent(sample.bound(one.error), 3)} at {percent(1 - one.error)} confidence, "
        f"{sample.hits(one.target)} of {len(sample)} seeds at {percent(one.target)}"
    )
