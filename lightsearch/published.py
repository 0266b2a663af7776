"""The former place of `lightsearch.zoo.published`."""

from lightsearch.zoo.published import front, published_designs, published_front

__all__ = ["front", "published_designs", "published_front"]
