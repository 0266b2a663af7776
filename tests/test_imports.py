"""Who may import whom, read from the source: the table of docs/architecture.md.

Imports inside functions and those for type checkers count as all others do.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib.util import find_spec
from pathlib import Path

import pytest

import lightsearch

ROOT = Path(lightsearch.__file__).parent
HEAVY = {
    "torch",
    "torchvision",
    "optuna",
    "pandas",
    "scipy",
    "sklearn",
    "rich",
    "torchinfo",
    "matplotlib",
    "jinja2",
    "tensorboard",
    "IPython",
    "onnx",
    "onnxruntime",
    "distributed",
    "ray",
}

# Rooms from the ground up, and what each may import: of the rooms above it in this table, and of
# the heavy packages. Torch and Optuna are kept by file, below.
ROOMS: dict[str, tuple[set[str], set[str]]] = {
    "errors": (set(), set()),
    "presentation": ({"errors"}, set()),
    "layer_warnings": (set(), set()),
    "randomness": (set(), set()),
    "torch_modes": (set(), set()),
    "statistics": (set(), {"scipy"}),
    "checks": ({"errors"}, set()),
    "shapes": ({"errors", "checks"}, set()),
    "naming": ({"errors"}, set()),
    "design": ({"errors", "layer_warnings", "checks", "shapes", "naming"}, set()),
    "notation": ({"errors", "layer_warnings", "checks", "design"}, set()),
    "network": (
        {
            "errors",
            "layer_warnings",
            "torch_modes",
            "checks",
            "shapes",
            "design",
            "notation",
            "presentation",
        },
        {"torchinfo"},
    ),
    "formatting": ({"network"}, set()),
    "space": (
        {
            "errors",
            "checks",
            "shapes",
            "design",
            "notation",
            "network",
            "formatting",
            "presentation",
        },
        set(),
    ),
    "zoo": ({"errors", "shapes", "design", "notation", "presentation"}, set()),
    "data": (
        {"errors", "randomness", "torch_modes", "checks", "shapes", "presentation"},
        {"torchvision", "sklearn"},
    ),
    "surrogate": (
        {"errors", "randomness", "statistics", "shapes", "design", "notation", "network"},
        {"sklearn", "pandas"},
    ),
    "engines": (
        {"errors", "randomness", "torch_modes", "shapes", "design", "network", "data"},
        set(),
    ),
    "training": (
        {
            "errors",
            "layer_warnings",
            "randomness",
            "torch_modes",
            "checks",
            "design",
            "notation",
            "network",
            "data",
            "engines",
            "surrogate",
            "formatting",
            "presentation",
        },
        set(),
    ),
    "workers": ({"checks", "errors", "design", "network", "engines"}, {"distributed", "ray"}),
    "study": (
        {
            "errors",
            "statistics",
            "checks",
            "notation",
            "network",
            "formatting",
            "data",
            "engines",
            "training",
            "design",
            "shapes",
            "layer_warnings",
            "surrogate",
            "presentation",
        },
        {"pandas"},
    ),
    "plots": (
        {
            "errors",
            "checks",
            "shapes",
            "design",
            "notation",
            "network",
            "formatting",
            "space",
            "zoo",
            "study",
            "presentation",
        },
        {"matplotlib", "pandas", "scipy"},
    ),
    "standalone": (
        {"errors", "checks", "shapes", "design", "network", "data"},
        {"jinja2", "torchvision"},
    ),
    "report": (
        {
            "checks",
            "standalone",
            "errors",
            "shapes",
            "notation",
            "network",
            "formatting",
            "data",
            "engines",
            "training",
            "study",
            "plots",
        },
        {"jinja2", "matplotlib", "pandas"},
    ),
    "result": (
        {
            "errors",
            "checks",
            "shapes",
            "data",
            "engines",
            "study",
            "plots",
            "report",
            "presentation",
            "formatting",
        },
        {"pandas"},
    ),
    "tracking": ({"errors", "study", "training"}, set()),
    "comparing": (
        {
            "errors",
            "statistics",
            "checks",
            "notation",
            "formatting",
            "presentation",
            "surrogate",
            "study",
            "plots",
            "result",
        },
        {"pandas", "matplotlib"},
    ),
    "searching": (
        {
            "errors",
            "formatting",
            "naming",
            "layer_warnings",
            "randomness",
            "checks",
            "shapes",
            "design",
            "notation",
            "network",
            "space",
            "zoo",
            "data",
            "engines",
            "training",
            "workers",
            "study",
            "surrogate",
        },
        {"sklearn"},
    ),
    "confirming": (
        {
            "errors",
            "layer_warnings",
            "randomness",
            "checks",
            "design",
            "notation",
            "network",
            "formatting",
            "data",
            "engines",
            "training",
            "workers",
            "statistics",
            "study",
            "searching",
            "result",
        },
        {"pandas"},
    ),
    "goals": (
        {
            "errors",
            "notation",
            "engines",
            "statistics",
            "searching",
            "confirming",
            "study",
            "workers",
        },
        set(),
    ),
    "progress": ({"errors", "checks", "formatting", "study", "searching"}, {"rich", "IPython"}),
    "exporting": (
        {
            "standalone",
            "errors",
            "randomness",
            "statistics",
            "torch_modes",
            "checks",
            "shapes",
            "design",
            "notation",
            "network",
            "formatting",
            "data",
            "engines",
            "training",
            "study",
            "result",
            "presentation",
        },
        {"pandas", "onnx", "onnxruntime", "jinja2"},
    ),
    "api": (
        {
            "errors",
            "layer_warnings",
            "data",
            "workers",
            "study",
            "result",
            "searching",
            "confirming",
            "goals",
            "progress",
        },
        set(),
    ),
    "cli": (
        {
            "errors",
            "checks",
            "shapes",
            "design",
            "notation",
            "network",
            "formatting",
            "space",
            "zoo",
            "data",
            "engines",
            "training",
            "workers",
            "study",
            "result",
            "searching",
            "confirming",
            "progress",
            "exporting",
            "comparing",
            "report",
            "api",
        },
        {"pandas", "rich"},
    ),
    "__main__": ({"cli"}, set()),
}
TOP = {"__init__"}  # hands on names of all rooms
FORMER = {"cluster": "workers", "published": "zoo", "slots": "workers"}  # hand on what has moved

TORCH = {
    "randomness.py",
    "torch_modes.py",
    "network/blocks.py",
    "network/leaf_modules.py",
    "network/modules.py",
    "data/dataset.py",
    "data/holdout.py",
    "data/references.py",
    "engines/augment.py",
    "engines/cuda_graph.py",
    "engines/cuda_stream.py",
    "engines/engine.py",
    "engines/extended.py",
    "engines/epoch_tables.py",
    "engines/triton/convolution.py",
    "engines/triton/images.py",
    "engines/triton/layers.py",
    "engines/triton/norm.py",
    "engines/triton/pool.py",
    "engines/triton/step.py",
    "engines/triton/tiles.py",
    "engines/initial_weights.py",
    "engines/native/engine.py",
    "engines/native/library.py",
    "engines/native/recipes.py",
    "engines/native/statuses.py",
    "engines/native/structs.py",
    "engines/optimizers.py",
    "engines/pytorch.py",
    "engines/selection.py",
    "engines/teacher.py",
    "engines/transfer.py",
    "training/epoch.py",
    "training/run.py",
    "training/one_line.py",
    "workers/devices.py",
    "workers/thread_slot.py",
    "exporting/c/compiling.py",
    "exporting/c/constants.py",
    "exporting/c/files.py",
    "exporting/c/float_run.py",
    "exporting/c/int8_run.py",
    "exporting/c/quantising.py",
    "exporting/c/sizes.py",
    "exporting/checks.py",
    "exporting/finding.py",
    "exporting/folding.py",
    "exporting/onnx_graph.py",
    "exporting/predicting.py",
    "exporting/reading.py",
    "exporting/trained.py",
    "exporting/formats.py",
    "report/tensorboard.py",
    "cli/bench.py",
    "cli/doctor.py",
}
OPTUNA = {
    "study/importances.py",
    "study/journal.py",
    "study/optuna_tools.py",
    "study/record.py",
    "study/study.py",
    "searching/optuna_sampler.py",
    "searching/proposals.py",
    "searching/pruning.py",
    "searching/run.py",
    "searching/settings.py",  # for type checkers alone
}

FILES = {
    ".".join(("lightsearch", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(
        ".__init__"
    ): path
    for path in sorted(ROOT.rglob("*.py"))
}


def _room(module: str) -> str:
    return module.split(".")[1] if "." in module else "__init__"


def _imports(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported anywhere in a file; of ours, the file that it is."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module is not None, "imports are absolute"
            for alias in node.names:
                inside = f"{node.module}.{alias.name}"
                yield inside if inside in FILES else node.module


IMPORTS = {module: set(_imports(ast.parse(path.read_text()))) for module, path in FILES.items()}


def _is_ours(name: str) -> bool:
    return name.split(".")[0] == "lightsearch"


@pytest.mark.parametrize("module", FILES)
def test_a_file_imports_only_what_the_table_allows(module: str) -> None:
    unknown = [name for name in IMPORTS[module] if _is_ours(name) and name not in FILES]
    assert not unknown
    room = _room(module)
    used = {_room(name) for name in IMPORTS[module] if _is_ours(name)} - {room}
    heavy = {name.split(".")[0] for name in IMPORTS[module]} & HEAVY - {"torch", "optuna"}
    if room in TOP:
        assert not heavy
        return
    rooms, packages = ({FORMER[room]}, set[str]()) if room in FORMER else ROOMS[room]
    assert used <= rooms
    assert heavy <= packages


def test_no_room_imports_one_below_it_in_the_table() -> None:
    for index, (room, (rooms, _)) in enumerate(ROOMS.items()):
        assert rooms <= set(list(ROOMS)[:index]), room
    assert set(ROOMS) | TOP | set(FORMER) == {_room(module) for module in FILES}


@pytest.mark.parametrize(("package", "allowed"), [("torch", TORCH), ("optuna", OPTUNA)])
def test_torch_and_optuna_are_imported_by_these_files(package: str, allowed: set[str]) -> None:
    found = {
        FILES[module].relative_to(ROOT).as_posix()
        for module, names in IMPORTS.items()
        if package in {name.split(".")[0] for name in names}
    }
    assert found == allowed


def _circle(imports: dict[str, set[str]]) -> list[str]:
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_no_files_import_each_other_in_a_circle() -> None:
    assert (
        _circle(
            {
                module: {name for name in names if _is_ours(name)}
                for module, names in IMPORTS.items()
            }
        )
        == []
    )
    assert _circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) != []  # one would be found


def test_a_packages_face_only_hands_names_on() -> None:
    """Two hand them on when they are asked for, since they would load torch otherwise."""
    lazy = {"lightsearch", "lightsearch.data"}
    for module, path in FILES.items():
        if path.name != "__init__.py":
            continue
        for node in ast.parse(path.read_text()).body:
            plain = isinstance(node, ast.Import | ast.ImportFrom | ast.Expr) or (
                isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
            )
            assert plain or module in lazy, f"{path}: {ast.unparse(node)[:60]}"
        handed = {
            name.name
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.ImportFrom)
            for name in node.names
        }
        files = {other.stem for other in path.parent.iterdir()} - {"__init__"}
        # `from lightsearch.zoo import zoo` is what the top level hands on
        assert handed & files <= ({"zoo"} if module == "lightsearch" else set()), path


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, lightsearch, lightsearch.cli, lightsearch.data; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent
    ).stdout.split()
    assert "lightsearch.network.cost" in loaded
    assert not {"torch", "torchvision", "optuna", "pandas", "sklearn", "matplotlib"} & set(loaded)


def test_the_public_names_are_these() -> None:
    assert lightsearch.__all__ == sorted(lightsearch.__all__, key=_ruff_order)
    for name in lightsearch.__all__:
        assert getattr(lightsearch, name) is not None
    for path in ROOT.iterdir():  # loading a module of the package must not hide a name
        assert path.stem not in lightsearch._LAZY


def test_loading_every_file_hides_no_public_name() -> None:
    modules = [
        module
        for module in FILES
        if _room(module) != "__main__"
        and (find_spec("triton") or not module.startswith("lightsearch.engines.triton"))
    ]
    code = (
        "import importlib, types, lightsearch\n"
        f"for module in {modules!r}: importlib.import_module(module)\n"
        "print([name for name in lightsearch.__all__\n"
        "       if isinstance(getattr(lightsearch, name), types.ModuleType)])"
    )
    hidden = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT.parent
    ).stdout
    assert hidden.strip() == "[]"


def _ruff_order(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)
