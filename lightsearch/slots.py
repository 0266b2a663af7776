"""Where slots were until they moved to `lightsearch.workers`."""

from lightsearch.workers.local import local_slots
from lightsearch.workers.process_slot import ProcessSlot
from lightsearch.workers.slot import ExecutorSlot, InlineSlot, Slot, WorkerDied

__all__ = ["ExecutorSlot", "InlineSlot", "ProcessSlot", "Slot", "WorkerDied", "local_slots"]
