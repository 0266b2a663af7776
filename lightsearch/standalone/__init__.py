"""Training scripts and notebooks: plain PyTorch and torchvision, which stand alone."""

from lightsearch.standalone.job import Job
from lightsearch.standalone.notebook import notebook_text
from lightsearch.standalone.script import script_text

__all__ = ["Job", "notebook_text", "script_text"]
