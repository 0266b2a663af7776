"""Every layer of the library as C, judged by PyTorch: branches, moves, norms and activations."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
import torch
from c_nets import (
    COMPILERS,
    SANITIZERS,
    check_memory,
    compiled,
    is_close,
    make,
    run_source,
    truth_of,
)
from click.testing import CliRunner
from random_designs import rich, uneven

from lightsearch import cost, load, parse
from lightsearch.cli import main
from lightsearch.design.parts import Design
from lightsearch.errors import DesignError
from lightsearch.exporting import export, open_net
from lightsearch.exporting.c.compiling import compile_main, run_main
from lightsearch.exporting.c.int8_run import run_int8
from lightsearch.exporting.c.limits import find_float_only
from lightsearch.exporting.c.maps import list_border
from lightsearch.exporting.c.sizes import count_bytes
from lightsearch.exporting.c.source import write_float, write_int8
from lightsearch.shapes import Shape

SHAPE = (2, 12, 14)
WHOLE = {
    "branches": "conv(6,relu6) concat([conv(4)],[maxpool(k=3,s=1,p=1) conv(3,k=1)]) "
    "add([conv(8,s=2,act=none)],[conv(8,k=1,s=2,act=none)],relu) concat([],[depthwise(tanh)]) "
    "split(1) concat([conv(12,k=1)],[]) shuffle(4) residual([concat([conv(6)],[conv(14,k=1)])]) "
    "add([],[conv(20,k=1)],hardsigmoid) loop([concat([conv(10)],[conv(10,sigmoid)])],2) "
    "concat([dropout(0.1)],[dropout(0.1)]) add([dropout(0.1)],[dropout(0.1)]) "
    "ghost(8) inverted(8) gap linear(10)",
    "moves": "pad(2,a=1,reflect) conv(5,p=0,prelu) act(leakyrelu,slope=0.2) pad(1,replicate) "
    "widen(9) depthwise(prelu,s=2) pad(0,a=2) split(2,of=3) act(tanh) norm "
    "add([conv(8,s=2,act=none)],[pad(0,a=1) maxpool widen(8)]) shuffle(4) act(sigmoid) linear(6)",
    "borders": "conv(5,reflect) depthwise(circular,k=5,act=none) maxpool "
    "separable(6,replicate,s=2) pad(1,a=2,circular) conv(4,p=0) linear(10)",
    "windows": "conv(6,k=3x1,s=2x1) depthwise(k=1x5,d=1x2) separable(8,k=5x3,p=0x2,act-norm) "
    "maxpool(k=2x3,s=1x2,p=1x0) conv(6,k=1x3,p=0x1,s=1x2) avgpool(k=1x2,s=1) linear(10)",
    "parts": "conv(5) adaptive(8x9) conv(6,act=none) adaptive(5x4,max) adaptive(5x3) linear(10)",
}
FLOAT_ONLY = {
    "norms": "conv(6,norm=group,ng=3) conv(6,norm=layer,order=act-norm,affine=shift) "
    "norm(layer,affine=none) residual([norm(group,g=2)]) loop([conv(6,norm=group,ng=2,prelu)],2) "
    "concat([norm(group,g=2)],[]) gap linear(10)",
}


def test_rich_designs_fit_the_memory_that_was_counted() -> None:
    for seed in range(80):
        design, shape = rich(Random(seed))
        made = make(design, shape, seed, count=2)
        check_memory(made, 1e-4)


def test_memory_of_branches_by_hand() -> None:
    """Both outputs and their channels together: the first branch's output is at the end where the
    input is not, the second one's beside it, and the rest is what they make."""
    program = make(parse("concat([conv(3)],[conv(2)])"), (1, 4, 4)).program
    assert program.memory == 2 * (3 + 2) * 16
    places = [(one.source.offset // 16, one.target.offset // 16) for one in program.instructions]
    assert places == [(0, 7), (7, 7), (0, 5), (5, 5), (7, 0)]


@compiled
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("name", [*WHOLE, *FLOAT_ONLY])
def test_float_c_computes_what_pytorch_does(name: str, compiler: str, tmp_path: Path) -> None:
    made = make(parse({**WHOLE, **FLOAT_ONLY}[name]), SHAPE)
    source = write_float(made.program, made.weights, made.notes)
    scores = run_source(source, made.pixels, tmp_path, compiler, *SANITIZERS)
    assert is_close(scores, truth_of(made), 1e-4)


@compiled
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("name", WHOLE)
def test_int8_c_computes_what_its_reference_does(name: str, compiler: str, tmp_path: Path) -> None:
    made = make(parse(WHOLE[name]), SHAPE, count=32)
    net = made.quantise()
    source = write_int8(net, made.notes)
    code = re.sub(r"/\*.*?\*/", "", source.code, flags=re.S)
    assert not re.search(r"float|double|math\.h|\d\.\d", code)
    integers = run_source(source, made.pixels, tmp_path, compiler, *SANITIZERS)
    assert torch.equal(integers, run_int8(net, made.pixels).double())
    apart = (net.output.restore(integers) - truth_of(made)).abs().mean()
    assert float(apart) < 0.1 * float(truth_of(made).abs().mean())


@compiled
@pytest.mark.parametrize("seed", range(8))
def test_a_few_rich_designs_in_c(seed: int, tmp_path: Path) -> None:
    _compare(seed, tmp_path, rich)


@compiled
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(300, 360))
def test_rich_designs_in_c(seed: int, tmp_path: Path) -> None:
    _compare(seed, tmp_path, rich)


@compiled
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(24))
def test_uneven_designs_in_c(seed: int, tmp_path: Path) -> None:
    _compare(seed, tmp_path, uneven)


def _compare(seed: int, folder: Path, draw: Callable[[Random], tuple[Design, Shape]]) -> None:
    design, shape = draw(Random(seed))
    made, compiler = make(design, shape, seed), COMPILERS[seed % len(COMPILERS)]
    source = write_float(made.program, made.weights, made.notes)
    scores = run_source(source, made.pixels, folder, compiler, *SANITIZERS)
    assert is_close(scores, truth_of(made), 1e-4), design
    if find_float_only(made.program) is None:
        net = made.quantise()
        integers = run_source(write_int8(net, made.notes), made.pixels, folder, compiler)
        assert torch.equal(integers, run_int8(net, made.pixels).double()), design


@pytest.mark.parametrize("mode", ["zeros", "reflect", "replicate", "circular"])
def test_borders_come_from_where_pytorch_says(mode: str) -> None:
    row = torch.arange(1.0, 5.0).view(1, 1, 1, 4)
    module = make(parse(f"pad(3,a=2,{mode})"), (1, 4, 4)).module
    with torch.no_grad():
        expected = module(row.expand(1, 1, 4, 4))[0, 0, 3].tolist()
    found = list_border(3, 4, 2, mode)
    assert [0.0 if place < 0 else place + 1.0 for place in found] == expected


@pytest.mark.parametrize(
    ("design", "place"),
    [
        ("conv(4) conv(8,norm=group)", r"conv\(8,group\) at \[1\]"),
        ("conv(4) residual([norm(layer)])", r"norm\(layer\) at \[1\].body\[0\]"),
    ],
)
def test_int8_names_the_norm_that_it_refuses(design: str, place: str) -> None:
    made = make(parse(design), SHAPE)
    with pytest.raises(DesignError, match=rf"C in int8 cannot be written .*{place}: .*float32"):
        made.quantise()


def test_a_board_is_told_that_there_is_no_int8_file() -> None:
    design = "conv(4,norm=layer) gap linear(10)"
    assert set(count_bytes(cost(parse(design), (1, 28, 28)), (1, 28, 28))) == {"float32"}
    said = CliRunner().invoke(main, ["show", design, "--board", "pico"], env={"COLUMNS": "160"})
    assert said.exit_code == 0 and "no int8 file" in said.output


# Trained -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    weights = tmp_path_factory.mktemp("trained") / "weights.safetensors"
    design = (
        "pad(1) conv(8,p=0,relu6) concat([conv(6,prelu)],[depthwise(d=2,p=2,tanh)]) shuffle(7) "
        "maxpool add([conv(16,act=none)],[widen(16)],leakyrelu) split(0) gap linear(10)"
    )
    words = ["--dataset", "digits", "--epochs", "4", "--save", str(weights)]
    assert CliRunner().invoke(main, ["train", design, *words]).exit_code == 0
    return weights


@compiled
def test_trained_networks_keep_their_classes(trained: Path, tmp_path: Path) -> None:
    plain = export(trained, tmp_path / "net.c")
    assert (plain.same, plain.total) == (360, 360)
    int8 = export(trained, tmp_path / "net8.c", int8=True)
    assert int8.same > 0.95 * int8.total and int8.accuracy > plain.accuracy - 0.03
    memory = cost(parse(int8.metadata["design"]), (1, 8, 8)).activation_bytes_int8
    assert f"NET8_MEMORY {memory} /* values of int8_t" in (tmp_path / "net8.h").read_text()


@compiled
@pytest.mark.needs("onnx", "onnxruntime", "onnxscript")
def test_trained_networks_have_the_classes_of_onnxruntime(trained: Path, tmp_path: Path) -> None:
    data = load("digits")
    graph = open_net(export(trained, tmp_path / "net.onnx").path)
    scores = graph.scores(graph.normalise(data.test[0].float() / 255))
    code, program = export(trained, tmp_path / "net.c").path, tmp_path / "net.exe"
    compile_main(code, program, "net", COMPILERS[0])
    ours = run_main([str(program)], data.test[0])
    assert torch.equal(ours.argmax(1), scores.argmax(1)) and is_close(ours, scores.double(), 1e-4)


def test_a_refused_int8_export_leaves_no_file(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    words = ["--dataset", "digits", "--epochs", "1", "--save", str(weights)]
    said = CliRunner().invoke(main, ["train", "conv(4,norm=layer) gap linear(10)", *words])
    assert said.exit_code == 0
    with pytest.raises(DesignError, match=r"C in int8 cannot .*conv\(4,layer\) at \[0\]"):
        export(weights, tmp_path / "net.c", int8=True)
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors"]
