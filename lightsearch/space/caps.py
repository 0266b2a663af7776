"""A budget as a search takes it: a number of parameters, or a `Budget`."""

from __future__ import annotations

from lightsearch.network.cost import Budget


def read_budget(budget: int | Budget | None) -> Budget:
    """Return a budget as its caps: a number is the most parameters, None is no cap.

    >>> read_budget(8000) == Budget(params=8000), read_budget(None) == Budget()
    (True, True)

    A number may be written as `Budget` takes it, such as "8k". Raises `ArgumentError` for anything
    else.
    """
    if budget is None:
        return Budget()
    return budget if isinstance(budget, Budget) else Budget(params=budget)
