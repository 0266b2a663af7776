"""The former place of `lightsearch.workers.dask`."""

from lightsearch.workers.dask import dask_slots

__all__ = ["dask_slots"]
