"""The record of a candidate from a proposal, and the task of a candidate from its record."""

from __future__ import annotations

from lightsearch.notation.parser import parse, parse_recipe
from lightsearch.randomness import key
from lightsearch.searching.clock import epoch_work
from lightsearch.searching.gate import Proposal, count_options
from lightsearch.searching.question import Question
from lightsearch.study.trial import Candidate, Counts, versions
from lightsearch.training.task import Task


def make_candidate(
    question: Question, proposal: Proposal, counts: Counts, *, number: int, slot: int, start: int
) -> Candidate:
    """The record of trial `number`, which begins in `slot` at the virtual time `start`.

    Its seed depends on the study's seed, the network and the recipe, and on nothing else.
    """
    identity, cost, recipe = question.identity, proposal.cost, str(proposal.recipe)
    seed = key(identity.seed, "trial", proposal.fingerprint, recipe) % 2**31
    return Candidate(
        number=number,
        design=str(proposal.design),
        recipe=recipe,
        decisions=proposal.decisions,
        options=count_options(proposal.options),
        seed=seed,
        fingerprint=proposal.fingerprint,
        params=cost.params,
        macs=cost.macs,
        activation_bytes=cost.activation_bytes,
        receptive_field=cost.receptive_field,
        slot=slot,
        start=start,
        work=epoch_work(cost, identity.engine),
        counts=counts,
        versions=versions(),
        dataset=identity.dataset,
        checksum=identity.checksum,
        selected_on=identity.selected_on,
        epochs=identity.epochs,
        device=identity.device,
        engine=identity.engine,
        proposed_by=proposal.by,
    )


def read_task(question: Question, candidate: Candidate) -> Task:
    """The task that trains a candidate that was read back from a study."""
    design, recipe = parse(candidate.design), parse_recipe(candidate.recipe)
    return question.task(design, recipe, candidate.seed)
