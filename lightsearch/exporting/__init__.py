"""Export a trained network as ONNX, as a PyTorch program, as weights or as source."""

from lightsearch.exporting.reading import ExportedNet, open_net
from lightsearch.exporting.writing import Exported, export

__all__ = ["Exported", "ExportedNet", "export", "open_net"]
