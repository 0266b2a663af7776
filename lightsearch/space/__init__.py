"""Counting the designs of a space, within a budget or not, and drawing from them uniformly."""

from lightsearch.space.counting import survey
from lightsearch.space.sampling import Sampler
from lightsearch.space.surveys import Survey

__all__ = ["Sampler", "Survey", "survey"]
