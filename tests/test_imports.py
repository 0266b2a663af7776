"""Who may import whom, read from the source: the table of docs/architecture.md."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import lightsearch

ROOT = Path(lightsearch.__file__).parent
HEAVY = {"torch", "torchvision", "optuna", "pandas", "scipy", "sklearn", "rich", "torchinfo",
         "matplotlib", "jinja2", "tensorboard", "IPython"}

# A room and what it may import: of ours, and of the heavy packages.
ALLOWED: dict[str, tuple[set[str], set[str]]] = {
    "errors": (set(), set()),
    "checks": ({"errors"}, set()),
    "design": ({"errors", "checks"}, set()),
    "recipe": ({"design"}, set()),
    "ops": ({"errors", "design"}, set()),
    "cost": ({"checks", "errors", "design", "ops"}, set()),
    "notation": ({"errors", "design", "recipe"}, set()),
    "space": ({"checks", "errors", "design", "ops", "cost"}, set()),
    "source": ({"errors", "design", "ops", "cost"}, set()),
    "zoo": ({"errors", "design", "notation", "ops", "recipe"}, set()),
    "defaults": ({"checks", "design", "ops", "errors"}, set()),
    "schedule": ({"recipe"}, set()),
    "randomness": (set(), {"torch"}),
    "augment": ({"randomness", "recipe"}, {"torch"}),
    "modules": ({"errors", "design", "ops", "cost"}, {"torch", "torchinfo"}),
    "holdout": ({"checks", "errors", "randomness"}, {"torch"}),
    "data": ({"checks", "errors", "holdout", "ops"}, {"torch", "torchvision", "sklearn"}),
    "images": ({"checks", "errors", "data"}, {"torchvision", "sklearn"}),
    "engines": ({"errors", "design", "ops", "cost", "recipe", "randomness", "augment", "modules",
                 "data"}, {"torch"}),
    "training": ({"checks", "errors", "design", "recipe", "schedule", "randomness", "engines",
                  "data", "cost"}, {"torch"}),
    "records": ({"training"}, set()),
    "worker": ({"errors"}, {"torch"}),
    "forking": ({"engines", "training", "worker"}, set()),
    "slots": ({"errors", "forking", "worker"}, set()),
    "cluster": ({"errors", "slots"}, set()),
    "study": ({"checks", "errors", "design", "ops", "cost", "recipe", "space", "randomness",
               "records", "training"}, {"optuna"}),
    "events": ({"records", "training"}, set()),
    "devices": ({"errors"}, {"torch"}),
    "question": ({"checks", "errors", "design", "cost", "data", "defaults", "devices", "engines",
                  "holdout", "images", "notation", "recipe", "records", "space", "study",
                  "training"}, {"torch"}),
    "conductor": ({"errors", "cost", "design", "events", "notation", "ops", "question",
                   "randomness", "recipe", "records", "slots", "study", "training"}, set()),
    "confidence": (set(), {"scipy"}),
    "confirmation": ({"errors", "confidence", "records", "study", "training"}, set()),
    "retraining": ({"confirmation", "slots", "training"}, set()),
    "leaderboard": ({"checks", "errors", "confirmation", "engines", "data", "holdout", "notation",
                     "records", "study", "training"}, {"pandas"}),
    "confirming": ({"checks", "errors", "confirmation", "cost", "data", "design", "devices",
                    "engines", "holdout", "images", "leaderboard", "notation", "question",
                    "randomness", "recipe", "records", "retraining", "slots", "training",
                    "wording"}, {"pandas"}),
    "interrupts": (set(), set()),
    "wording": ({"cost"}, set()),
    "published": (set(), set()),
    "plots": ({"errors", "design", "ops", "cost", "notation", "published", "records", "space",
               "study", "wording"}, {"matplotlib", "pandas", "scipy"}),
    "status": ({"events", "question", "records", "study"}, set()),
    "progress": ({"confirmation", "events", "leaderboard", "question", "records", "status",
                  "study", "wording"}, {"rich", "IPython"}),
    "exporting": ({"checks", "errors", "api", "cost", "data", "design", "engines", "leaderboard",
                   "modules", "notation", "ops", "randomness", "records", "source", "study",
                   "training", "wording"}, {"torch", "pandas", "onnx", "onnxruntime"}),
    "predicting": ({"checks", "errors", "data", "exporting", "ops"}, {"torch", "PIL", "numpy"}),
    "api": ({"checks", "errors", "conductor", "confirmation", "confirming", "cost", "data",
             "defaults", "design", "devices", "events", "interrupts", "leaderboard", "ops",
             "plots", "progress", "question", "recipe", "records", "slots", "study", "training"},
            {"pandas"}),
    "report": ({"errors", "api", "cost", "defaults", "modules", "notation", "plots", "records",
                "source", "training", "wording"}, {"jinja2", "matplotlib", "pandas"}),
    "tensorboard": ({"errors", "records"}, {"torch"}),
}
FREE = {"cli", "__init__", "__main__"}  # these may import everything
PARTS = {"_parsing": "notation", "_tokens": "notation", "process": "slots"}  # files of a room


def _room(path: Path) -> str:
    name = path.relative_to(ROOT).parts[0].removesuffix(".py")
    return PARTS.get(name, name)


def _imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            assert node.module is not None
            found.add(node.module)
            if node.module == "lightsearch":
                found |= {f"lightsearch.{alias.name}" for alias in node.names}
    return found


def test_every_room_imports_only_what_the_table_allows() -> None:
    wrong = []
    for path in sorted(ROOT.rglob("*.py")):
        room = _room(path)
        if room in FREE:
            continue
        assert room in ALLOWED, f"{path} is a room that the table does not know"
        ours, heavy = ALLOWED[room]
        for name in _imports(path):
            top, *rest = name.split(".")
            if top == "lightsearch" and rest:
                target = PARTS.get(rest[0], rest[0])
                if target not in ours | {room}:
                    wrong.append(f"{path.name} imports {name}")
            elif top in HEAVY - heavy:
                wrong.append(f"{path.name} imports {name}")
    assert not wrong


def test_the_table_has_no_cycle_and_no_room_that_is_gone() -> None:
    seen: set[str] = set()
    left = dict(ALLOWED)
    while left:
        ready = [room for room, (ours, _) in left.items() if ours <= seen]
        assert ready, f"a cycle among {sorted(left)}"
        for room in ready:
            seen.add(room)
            del left[room]
    assert seen == {_room(p) for p in ROOT.rglob("*.py")} - FREE


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, lightsearch, lightsearch.cli; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                            check=True, cwd=ROOT.parent).stdout.split()
    assert "lightsearch.cost" in loaded
    assert not {"torch", "torchvision", "optuna", "pandas", "sklearn", "matplotlib"} & set(loaded)


def test_the_public_names_are_these() -> None:
    assert lightsearch.__all__ == sorted(lightsearch.__all__, key=_ruff_order)
    for name in lightsearch.__all__:
        assert getattr(lightsearch, name) is not None
    for path in ROOT.glob("*.py"):  # loading a module of the package must not hide a name
        assert path.stem not in lightsearch._LAZY


def _ruff_order(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)
