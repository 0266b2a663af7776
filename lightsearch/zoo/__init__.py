"""Published networks to compare with."""

from lightsearch.zoo.networks import Entry, Published, Zoo, zoo

__all__ = ["Entry", "Published", "Zoo", "zoo"]
