"""Engines: what trains a design, step by step.

`run_epoch` says in which order images come, with which learning rate and from which random
streams; an engine does the arithmetic. Both engines take and give the same states, so a study
could go on with the other one; it does not, since their sums differ in the last bit.
"""
