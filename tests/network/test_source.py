"""Written source: it runs without lightsearch, computes the same, and is as ruff leaves it."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from random_designs import Drawn, default, loose, nasty, plain, rich, uneven

from lightsearch import build, cost, parse, zoo
from lightsearch.design import Layer, conv, dropout, gap, linear, parts, register_kind, seq
from lightsearch.errors import ArgumentError, DesignError
from lightsearch.network.lowering import register_cost
from lightsearch.network.operations import Local
from lightsearch.network.source import to_source

RUNNER = Path(__file__).with_name("source_runner.py")
RUFF = (["format", "--check"], ["check", "--select", "E4,E7,E9,F,I,B,UP,RUF,N"])
FAULTY: Drawn = (parse("conv(4) gap linear(3)"), (1, 9, 8))


def _random_designs(seeds: range) -> list[Drawn]:
    makers = (nasty, plain, default, loose, rich, uneven)
    return [make(Random(seed)) for make in makers for seed in seeds]


def _odd_ones() -> list[Drawn]:
    texts = (
        "",
        "linear(3)",
        "linear(4,relu) linear(10)",
        "conv(8) dropout(0) gap",
        "linear(6) dropout(0.5,per=channel) conv(3,k=1) se gate linear(2,bias=false)",
        "conv(8) loop([separable(8,dropout=0.1) gate],3) gap loop([linear(8)],2,depthwise)",
        "loop([se loop([conv(1) dropout(0.1)],2)],3,depthwise) loop([maxpool(k=3,s=1,p=1)],4)",
        "loop([residual([conv(1,p=2)],project) conv(1,p=0)],2) loop([residual(gate)],2,depthwise)",
        "residual([maxpool(k=3,s=1,p=1)]) residual([linear(5)],project,gelu)",
        "conv(12345,k=1) residual([depthwise(k=2,p=1,s=1)]) depthwise(k=2,p=1,s=19)",
    )
    return [(parse(text), (1, 9, 8)) for text in texts]


def _case(case: str, drawn: Drawn) -> dict[str, Any]:
    """Return the outputs of `build` in both modes. One seed determines the dropouts."""
    design, shape = drawn
    torch.manual_seed(len(case))
    module = build(design, shape)
    for name, buffer in module.named_buffers():  # statistics that are not those of a new module
        if "running" in name:
            buffer.uniform_(0.5, 1.5)
    weights = {k: v.clone() for k, v in module.state_dict().items()}
    images = torch.randn(3, *shape)
    with torch.no_grad():
        outputs = module.eval()(images)
        torch.manual_seed(0)
        training = module.train()(images)
    return {
        "name": case,
        "design": str(design),
        "params": cost(design, shape).params,
        "weights": weights,
        "images": images,
        "outputs": outputs,
        "training_outputs": training,
        "weights_after": dict(module.state_dict()),
    }


def _find_faults(folder: Path, designs: list[Drawn], faulty: dict[str, str]) -> dict[str, str]:
    """Return the fault in the source of each design, and of faulty ones, by name."""
    cases = []
    for index, drawn in enumerate(designs):
        name = f"net_{index:03}"
        (folder / f"{name}.py").write_text(to_source(drawn[0], shape=drawn[1], note="A test."))
        cases.append(_case(name, drawn))
    for name, text in faulty.items():
        (folder / f"{name}.py").write_text(text)
        cases.append(_case(name, FAULTY))
    torch.save(cases, folder / "cases.pt")
    run = subprocess.run(
        [sys.executable, str(RUNNER), str(folder)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    for name in faulty:
        (folder / f"{name}.py").unlink()
    faults: dict[str, str] = json.loads(run.stdout)
    assert len(faults) == len(cases)
    return faults


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """Return a folder of written networks, and their faults in a process without lightsearch."""
    folder = tmp_path_factory.mktemp("written")
    published: list[Drawn] = [(entry.design, (1, 28, 28)) for entry in zoo.values()]
    source = to_source(parse("conv(4,gelu) gap linear(3)"), shape=FAULTY[1])
    return folder, _find_faults(
        folder,
        [*published, *_odd_ones(), *_random_designs(range(10))],
        {"wrong": source, "needy": f"import lightsearch\n\n{source}"},
    )


def test_zoo_and_random_designs_run_without_lightsearch(written: Any) -> None:
    faults = {name: wrong for name, wrong in written[1].items() if name.startswith("net_")}
    assert len(faults) >= 12 + 50
    assert not [wrong for wrong in faults.values() if wrong]


@pytest.mark.slow
def test_many_random_designs_run_without_lightsearch(tmp_path: Path) -> None:
    faults = _find_faults(tmp_path, _random_designs(range(10, 85)), {})
    assert len(faults) == 450 and not [wrong for wrong in faults.values() if wrong]
    for line in RUFF:
        test_files_are_as_ruff_leaves_them((tmp_path, faults), line)


def test_a_network_that_differs_is_noticed(written: Any) -> None:
    assert "Tensor-likes are not close" in written[1]["wrong"]
    assert "must not need lightsearch" in written[1]["needy"]


@pytest.mark.parametrize("line", RUFF)
def test_files_are_as_ruff_leaves_them(written: Any, line: list[str]) -> None:
    run = subprocess.run(
        [sys.executable, "-m", "ruff", *line, "--isolated", str(written[0])],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_a_comment_has_size_and_receptive_field() -> None:
    design = parse("conv(8,p=0) residual([se depthwise(k=5)]) maxpool gap linear(10)")
    comments = [
        line.strip() for line in to_source(design).splitlines() if line.strip().startswith("#")
    ]
    assert comments == [
        "# 8x26x26, receptive field 3",
        "# 8x26x26, receptive field 7 and the whole image",
        "# 8x26x26, receptive field 3 and the whole image",
        "# 8x26x26, receptive field 7",
        "# 8x13x13, receptive field 8",
        "# 8x1x1, receptive field 32",
        "# 10x1x1, receptive field 32",
    ]


@pytest.mark.parametrize("name", ["", "3x", "my net", "class", "nn", "Residual"])
def test_a_name_that_no_class_can_have_is_refused(name: str) -> None:
    with pytest.raises(ArgumentError, match=f"`name` must be .* but got name='{name}'"):
        to_source(seq(conv(8), gap(), linear(10)), name)
    assert "class Tiny(nn.Sequential):" in to_source(seq(dropout(0.1)), "Tiny")


@dataclass(frozen=True, slots=True, repr=False)
class Mine(Layer):
    pass


def test_a_kind_of_ones_own_is_refused_with_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_KINDS", "_NAMES"):
        monkeypatch.setattr(parts, name, dict(getattr(parts, name)))
    register_kind("mine", Mine)
    register_cost(Mine, lambda layer, shape: Local(shape))
    with pytest.raises(DesignError, match=r"own layer kinds, but got 'mine' at \[1\]"):
        to_source(seq(conv(8), Mine()))
