"""Published networks to compare with."""

from lightsearch.zoo.entries import Entry, PublishedLayer, Zoo
from lightsearch.zoo.networks import zoo

__all__ = ["Entry", "PublishedLayer", "Zoo", "zoo"]
