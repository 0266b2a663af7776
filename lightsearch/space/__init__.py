"""A space as a whole: how many designs it has, how many are within a budget, uniform draws."""

from lightsearch.space.counting import Survey, survey
from lightsearch.space.sampling import Sampler

__all__ = ["Sampler", "Survey", "survey"]
