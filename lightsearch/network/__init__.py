"""A design as a network: its operations, what they cost, its module, its source.

Only `modules` needs torch.
"""
