"""A table of real learning curves, and a model of it that answers for designs not in it."""
