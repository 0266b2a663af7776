"""Shared by all tests: one thread, so that the machine's other cores do not change a sum."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
