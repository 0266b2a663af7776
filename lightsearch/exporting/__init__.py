"""Taking a trained network away, as ONNX, as a PyTorch program, as weights, as source."""

from lightsearch.exporting.files import Exported, export
from lightsearch.exporting.opened import Opened, open_net
from lightsearch.exporting.trained import Trained, trained, trained_now

__all__ = ["Exported", "Opened", "Trained", "export", "open_net", "trained", "trained_now"]
