"""Taking a trained network away, as ONNX, as a PyTorch program, as weights, as source."""

from lightsearch.exporting.reading import Opened, open_net
from lightsearch.exporting.writing import Exported, export

__all__ = ["Exported", "Opened", "export", "open_net"]
