"""Export a trained network as ONNX, as a PyTorch program, as weights, as source or as C."""

from lightsearch.exporting.reading import ExportedNet, open_net
from lightsearch.exporting.writing import Exported, export

__all__ = ["Exported", "ExportedNet", "export", "open_net"]
