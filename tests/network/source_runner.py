"""Run by test_source.py in a process of its own: written networks, without lightsearch."""

from __future__ import annotations

import importlib.util
import json
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

import torch


class _Blocked(MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> None:
        if name.split(".")[0] == "lightsearch":
            raise ImportError("a written network must not need lightsearch")


def _check(folder: Path, case: dict[str, Any]) -> None:
    spec = importlib.util.spec_from_file_location(case["name"], folder / f"{case['name']}.py")
    assert spec is not None and spec.loader is not None
    written = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(written)
    net = written.Net()
    assert sum(p.numel() for p in net.parameters()) == case["params"]
    net.load_state_dict(case["weights"])
    torch.testing.assert_close(net.eval()(case["images"]), case["outputs"])
    torch.manual_seed(0)
    torch.testing.assert_close(net.train()(case["images"]), case["training_outputs"])
    torch.testing.assert_close(dict(net.state_dict()), case["weights_after"])


def main(folder: Path) -> None:
    """Check each case of the folder. Print the faults by name; "" is none."""
    sys.meta_path.insert(0, _Blocked())
    torch.set_num_threads(1)
    faults = {}
    for case in torch.load(folder / "cases.pt"):
        try:
            _check(folder, case)
            faults[case["name"]] = ""
        except Exception as error:
            faults[case["name"]] = f"{case['design']}: {type(error).__name__}: {error}"
    assert "lightsearch" not in sys.modules
    print(json.dumps(faults))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
