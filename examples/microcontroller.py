"""A network for a microcontroller with 32 KB of RAM: an int8 ONNX file of measured accuracy."""

import sys

from lightsearch import Budget, cost, export, parse, search

RAM = 32 * 1024 - 8 * 1024  # bytes for activations; 8 KB remain for stack and scratch memory
quick = {"dataset": "digits", "target": 0.9, "trials": 3} if "--quick" in sys.argv else {}
if quick:
    RAM = 1024  # 8x8 images are small

board = Budget(params=8000, macs=2_000_000, activation_bytes_int8=RAM)
result = search(board, epochs=15, study="board", **quick)
if result.leaderboard.empty:
    sys.exit("No design has reached the target yet: give more trials and run this again.")

row = result.ranked(by="params").iloc[0]  # the smallest that hit
shape, _ = result.images
spent = cost(parse(row["design"]), shape)
print(
    f"{row['design']}\n{spent.params:,} parameters, {spent.macs:,} MACs, "
    f"{spent.activation_bytes_int8:,} of {RAM:,} bytes of activations in int8"
)

written = export(row, "board.onnx", int8=True, study=result.folder)
print(f"{written.value_bytes:,} bytes of stored values in {written.size:,} of ONNX")
print(
    f"{written.accuracy:.2%} of {written.total:,} test images by the int8 file, "
    f"{written.recorded:.2%} in float32"
)
