"""Studies of one question asked in several ways, compared over seeds."""

from lightsearch.comparing.comparison import Comparison, compare

__all__ = ["Comparison", "compare"]
