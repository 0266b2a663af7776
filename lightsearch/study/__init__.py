"""The study: proposals, pruning and the journal. The only room that knows Optuna."""

from lightsearch.study.folder import Identity, default_folder
from lightsearch.study.journal import Study
from lightsearch.study.proposals import Exhausted, Proposal, Proposer
from lightsearch.study.pruning import TargetPruner, make_pruner

__all__ = ["Exhausted", "Identity", "Proposal", "Proposer", "Study", "TargetPruner",
           "default_folder", "make_pruner"]
