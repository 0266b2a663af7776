"""A design as a network: its operations, their cost, its module, its source.

Only `modules` needs torch.
"""
