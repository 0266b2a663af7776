"""Counting the designs of a space, within a budget or not, and drawing from them uniformly."""

from lightsearch.space.counting import Survey, survey
from lightsearch.space.sampling import Sampler

__all__ = ["Sampler", "Survey", "survey"]
