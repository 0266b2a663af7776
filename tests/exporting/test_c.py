"""Networks written as C99: compiled strictly, with sanitizers, and judged by PyTorch."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

import pytest
import torch
from c_nets import (
    COMPILERS,
    SANITIZERS,
    STRICT,
    check_memory,
    compiled,
    is_close,
    make,
    run_source,
    truth_of,
)
from click.testing import CliRunner
from cortex import IS_HERE, measure, run_on_cortex
from random_designs import nasty
from tiny import RECIPE, arguments
from torch import Tensor, nn

from lightsearch import SearchResult, build, cost, load, load_result, load_weights, parse
from lightsearch.api import run
from lightsearch.cli import main
from lightsearch.design import Layer
from lightsearch.errors import ArgumentError, DesignError, ExportError
from lightsearch.exporting import export, open_net
from lightsearch.exporting.c import files, limits
from lightsearch.exporting.c.compiling import compile_main, find_compiler, read_lines, run_main
from lightsearch.exporting.c.int8_run import rescale, run_int8
from lightsearch.exporting.c.planning import plan
from lightsearch.exporting.c.quantising import quantise, split_ratio
from lightsearch.exporting.c.source import write_float, write_int8
from lightsearch.network.modules import register
from lightsearch.network.operations import Activation, Conv2d, Local
from lightsearch.searching.question import resolve
from lightsearch.searching.settings import SearchSettings
from lightsearch.workers.slot import InlineSlot

REAL = os.environ.get("LIGHTSEARCH_DATA")
DESIGNS = {
    "stack": "conv(8,p=0) maxpool conv(6,k=3,p=3,dilation=2,s=2) depthwise(k=3,m=2,s=2,silu) "
    "separable(12,inner,gelu) gap linear(10,relu) linear(5)",
    "blocks": "residual([conv(4,k=5,p=0,gelu)],project) residual([conv(6,s=2) se],project,relu) "
    "residual([conv(6,k=1,p=1,hardswish,bias)]) separable(8,act-norm) gate "
    "avgpool(k=2,s=1,p=1) maxpool(k=3,s=2,p=1) dropout(0.1) residual([dropout(0.1)],silu) "
    "residual([residual([dropout(0.1)])]) residual([gate],project) conv(4,g=2,norm=none) gap",
    "loops": "conv(6) loop([separable(6) residual(conv(6,p=2)) conv(6,p=0)],3) "
    "loop([loop([separable(6)],2)],2,depthwise) gap linear(10)",
}


# Planning ----------------------------------------------------------------------------------------


def test_random_designs_fit_the_memory_that_was_counted() -> None:
    for seed in range(60):
        design, shape = nasty(Random(seed))
        made = make(design, shape, seed, count=2)
        check_memory(made)


def test_memory_by_hand() -> None:
    program = make(parse("conv(8) maxpool conv(16) gap linear(10)"), (1, 28, 28)).program
    assert program.memory == 8 * 28 * 28 + 8 * 14 * 14  # what the pool reads and writes
    offsets = [(one.source.offset, one.target.offset) for one in program.instructions]
    high = program.memory - 8 * 28 * 28
    assert offsets[:3] == [(0, high), (high, high), (high, 0)]


# Compiled ----------------------------------------------------------------------------------------


@compiled
@pytest.mark.parametrize("compiler", COMPILERS)
@pytest.mark.parametrize("name", DESIGNS)
def test_the_c_file_computes_what_pytorch_does(name: str, compiler: str, tmp_path: Path) -> None:
    made = make(parse(DESIGNS[name]), (2, 12, 14))
    source = write_float(made.program, made.weights, made.notes)
    scores = run_source(source, made.pixels, tmp_path, compiler, *SANITIZERS)
    assert is_close(scores, truth_of(made))
    net = made.quantise()
    source = write_int8(net, made.notes)
    integers = run_source(source, made.pixels, tmp_path, compiler, *SANITIZERS)
    assert torch.equal(integers, run_int8(net, made.pixels).double())
    apart = (net.output.restore(integers) - truth_of(made)).abs().mean()
    assert float(apart) < 0.1 * float(truth_of(made).abs().mean())


@compiled
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(200, 224))
def test_random_designs_in_c(seed: int, tmp_path: Path) -> None:
    design, shape = nasty(Random(seed))
    made, compiler = make(design, shape, seed), COMPILERS[seed % len(COMPILERS)]
    source = write_float(made.program, made.weights, made.notes)
    scores = run_source(source, made.pixels, tmp_path, compiler, *SANITIZERS)
    assert is_close(scores, truth_of(made)), design
    net = made.quantise()
    integers = run_source(
        write_int8(net, made.notes), made.pixels, tmp_path, compiler, *SANITIZERS
    )
    assert torch.equal(integers, run_int8(net, made.pixels).double()), design


def test_int8_layers_have_no_floating_point_and_nothing_is_allocated() -> None:
    for text in DESIGNS.values():
        made = make(parse(text), (2, 12, 14))
        integers = re.sub(
            r"/\*.*?\*/", "", write_int8(made.quantise(), made.notes).code, flags=re.S
        )
        assert not re.search(r"float|double|math\.h|\d\.\d", integers)
        floats = write_float(made.program, made.weights, made.notes).code
        for code in (integers, floats):
            assert not re.search(r"alloc|stdlib|string\.h", code)
            included = set(re.findall(r"#include [<\"](.*)[>\"]", code))
            assert included <= {"net.h", "math.h", "stdio.h"}  # that of main
            assert code.index("_MAIN") < code.index("stdio.h")


def test_passes_of_a_loop_share_their_weights() -> None:
    made = make(parse("conv(8) loop([conv(8)],3) gap linear(10)"), (1, 9, 9))
    for source in (
        write_float(made.program, made.weights, made.notes),
        write_int8(made.quantise(), made.notes),
    ):
        assert len(re.findall(r"layer1_loop_body_0_conv_weight\w*\[576\]", source.code)) == 1
        assert len(re.findall(r"convolve\(&", source.code)) == 4


# Integers ----------------------------------------------------------------------------------------


def test_rescaling_by_hand() -> None:
    half = split_ratio(0.5)
    assert half == (2**30, 31)
    sums = torch.tensor([3, -3, 2, -2, 1, -1, 0])
    found = rescale(sums, torch.tensor([half[0]]), torch.tensor([half[1]]))
    assert found.tolist() == [2, -2, 1, -1, 1, -1, 0]  # halves away from zero
    for ratio in (1e-12, 1e-5, 0.3, 1 - 2**-40, 1.0, 700.0):
        multiplier, shift = split_ratio(ratio)
        assert 0 < multiplier < 2**31 and 1 <= shift <= 62
        assert multiplier / 2**shift == pytest.approx(ratio, rel=1e-6)
    with pytest.raises(ExportError, match="at most 2\\*\\*30 apart"):
        split_ratio(2.0**31)


def test_int8_by_hand() -> None:
    """One pixel, one weight: 0.5 * x with x from 0 to 1, in which each step is exact."""
    made = make(parse("conv(1,k=1,norm=none,act=none)"), (1, 1, 1))
    weights = {"0.conv.weight": torch.full((1, 1, 1, 1), 0.5)}
    images = torch.tensor([0.0, 1.0]).view(2, 1, 1, 1)
    net = quantise(made.program, weights, images, torch.zeros(1), torch.ones(1))
    pixels = torch.arange(256, dtype=torch.uint8).view(-1, 1, 1, 1)
    assert (net.output.zero, net.output.scale) == (-128, pytest.approx(0.5 / 255))
    assert torch.equal(run_int8(net, pixels).flatten(), torch.arange(-128, 128).to(torch.int8))


def test_a_sum_that_does_not_fit_32_bits_is_refused() -> None:
    made = make(parse("linear(1)"), (3, 160, 160))
    weights = {"0.linear.weight": torch.ones(1, 76800), "0.linear.bias": torch.zeros(1)}
    with pytest.raises(ExportError, match=r"fit 32 bits in int8, but linear\(1\) at \[0\] may"):
        quantise(made.program, weights, made.images, made.mean, made.std)


def test_weights_that_are_no_numbers_are_refused() -> None:
    made = make(parse("linear(1)"), (1, 2, 2))
    weights = {**made.weights, "0.linear.bias": torch.tensor([float("nan")])}
    with pytest.raises(ExportError, match="weights must be finite numbers"):
        write_float(made.program, weights, made.notes)


# What cannot be written --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, repr=False)
class Negative(Layer):
    pass


@dataclass(frozen=True, slots=True)
class Unheard:
    pass


@pytest.mark.usefixtures("registry")
def test_a_layer_of_ones_own_is_named() -> None:
    register(
        "negative", Negative, cost=lambda _, shape: Local(shape), module=lambda *_: nn.Identity()
    )
    with pytest.raises(
        DesignError, match=r"own layer kinds, but got 'negative' at \[1\].body\[0\]"
    ):
        plan(cost(parse("gap residual([negative])"), (1, 8, 8)), (1, 8, 8))


@pytest.mark.parametrize(
    ("op", "reason"),
    [
        (Unheard(), "its operation Unheard is unknown there"),
        (Activation("mish"), "its activation 'mish' is unknown there"),
        (Conv2d(1, 2, 3, 1, 1, 1, False), "its property groups=1 is unknown there"),
    ],
)
def test_what_a_later_language_may_have_is_named(
    op: object, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(limits._FIELDS, Conv2d, limits._FIELDS[Conv2d] - {"groups"})
    costed = cost(parse("gap conv(2)"), (1, 8, 8))
    step = replace(costed.steps[1], ops=(("op", op),))  # type: ignore[arg-type]
    changed = replace(costed, steps=(costed.steps[0], step))
    with pytest.raises(
        DesignError, match=rf"C cannot be written yet for conv\(2\) at \[1\]: .*{reason}"
    ):
        plan(changed, (1, 8, 8))


# Exports -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def studied(tmp_path_factory: pytest.TempPathFactory) -> SearchResult:
    folder = tmp_path_factory.mktemp("studies") / "study"
    space = (
        "conv(6,act-norm) residual([conv(8,p=0,gelu)],project) maxpool separable(8|12) gap "
        "linear(10)"
    )
    asked = arguments(
        study=folder,
        space=space,
        trials=1,
        epochs=4,
        target=0.3,
        recipe=RECIPE.replace("0.1|", ""),
        slots=[InlineSlot()],
    )
    for _ in run(resolve(SearchSettings(**asked))):
        pass
    return load_result(folder)


def _pytorch_classes(result: SearchResult) -> Tensor:
    row, data = result.leaderboard.loc[1], load("digits")
    net = build(parse(str(row["design"])), (1, 8, 8)).eval()
    net.load_state_dict(load_weights(result.folder, int(row["trial"])))
    train = data.train[0].double() / 255
    images = (data.test[0].double() / 255 - train.mean()) / train.std(correction=0)
    with torch.no_grad():
        return net(images.float()).argmax(1)


@compiled
@pytest.mark.parametrize("compiler", COMPILERS)
def test_an_export_has_the_classes_of_pytorch_on_every_test_image(
    studied: SearchResult, compiler: str, tmp_path: Path
) -> None:
    found = export(studied, tmp_path / "net.c")
    assert (found.same, found.total) == (360, 360)
    assert found.metadata["batch_norm"] == "folded" and "compiled with" in str(found)
    program = tmp_path / "net.exe"
    compile_main(found.path, program, "net", compiler, (*STRICT, *SANITIZERS))
    scores = run_main([str(program)], load("digits").test[0])
    assert torch.equal(scores.argmax(1), _pytorch_classes(studied))
    header = (tmp_path / "net.h").read_text()
    memory = cost(parse(found.metadata["design"]), (1, 8, 8)).activation_bytes
    assert f"NET_MEMORY {memory // 4} /* values of float: {memory:,} bytes */" in header
    assert f"NET_CONSTANT_BYTES {found.value_bytes} " in header
    for said in ("input_range=0 to 255", "mean=0.30543", "input=1x8x8", "protocol=", "classes=10"):
        assert said in header
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.c", "net.exe", "net.h"]


@compiled
def test_int8_is_measured_and_keeps_the_accuracy(studied: SearchResult, tmp_path: Path) -> None:
    plain = export(studied, tmp_path / "net.c")
    found = export(studied, tmp_path / "net8.c", int8=True)
    assert found.value_bytes < 0.7 * plain.value_bytes
    assert found.accuracy > found.recorded - 0.05 and found.same > 0.9 * found.total
    assert float(found.metadata["int8_accuracy"]) == found.accuracy
    memory = cost(parse(found.metadata["design"]), (1, 8, 8)).activation_bytes_int8
    assert f"NET8_MEMORY {memory} /* values of int8_t" in (tmp_path / "net8.h").read_text()


@compiled
@pytest.mark.needs("onnx", "onnxruntime", "onnxscript")
def test_c_beside_onnxruntime(studied: SearchResult, tmp_path: Path) -> None:
    import onnxruntime

    found = {}
    for int8 in (False, True):
        graph = export(studied, tmp_path / f"net{int8}.onnx", int8=int8).path
        session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
        data = load("digits")
        mean, std = (value[:, None, None] for value in data.mean_std)
        images = (data.test[0].float() / 255 - mean) / std
        (scores,) = session.run(None, {"images": images.numpy()})
        code = export(studied, tmp_path / f"net{int8}.c", int8=int8).path
        program = tmp_path / "net.exe"
        compile_main(code, program, f"net{int8}", COMPILERS[0])
        ours = run_main([str(program)], data.test[0]).argmax(1)
        found[int8] = int((torch.from_numpy(scores).argmax(1) == ours).sum())
    assert found[False] == 360
    assert found[True] > 0.95 * 360  # another rounding, in floating point


def test_without_a_compiler_pytorch_answers(
    studied: SearchResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "find_compiler", lambda: None)
    found = export(studied, tmp_path / "net.c")
    assert found.same == 360 and "images by PyTorch alone, since" in str(found)


@compiled
def test_integers_that_differ_are_no_export(
    studied: SearchResult, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "run_main", lambda command, images: run_main(command, 255 - images))
    with pytest.raises(ExportError, match="must give the reference's integers"):
        export(studied, tmp_path / "net.c", int8=True)
    assert not list(tmp_path.iterdir())


def test_what_stands_at_the_header_is_kept(studied: SearchResult, tmp_path: Path) -> None:
    (tmp_path / "net.h").write_text("mine")
    with pytest.raises(ArgumentError, match=r"must be a new file, but .*net\.h is there"):
        export(studied, tmp_path / "net.c")
    export(studied, tmp_path / "net.c", force=True)
    assert "lightsearch=" in export(studied, tmp_path / "net.c").path.read_text()


@compiled
def test_the_command_line_writes_c(studied: SearchResult, tmp_path: Path) -> None:
    said = CliRunner().invoke(
        main,
        ["export", "--row", "1", str(tmp_path / "net.c"), "--leaderboard", str(studied.folder)],
    )
    assert said.exit_code == 0 and "360 have PyTorch's class" in said.output
    refused = CliRunner().invoke(
        main, ["export", str(tmp_path / "net.py"), "--int8", "--leaderboard", str(studied.folder)]
    )
    assert "ends in .onnx or .c" in refused.output


# The compiler ------------------------------------------------------------------------------------


@compiled
def test_what_the_compiler_says_is_told(tmp_path: Path) -> None:
    (tmp_path / "net.c").write_text("int main(void) { return x; }")
    with pytest.raises(ExportError, match=r"(?s)must compile, but .*undeclared"):
        compile_main(tmp_path / "net.c", tmp_path / "net.exe", "net", COMPILERS[0])
    (tmp_path / "net.c").write_text("int main(void) { return 3; }")
    compile_main(tmp_path / "net.c", tmp_path / "net.exe", "net", COMPILERS[0])
    with pytest.raises(ExportError, match="compiled C file must run"):
        run_main([str(tmp_path / "net.exe")], torch.zeros(1, dtype=torch.uint8))
    with pytest.raises(ExportError, match="class of the highest score"):
        read_lines("1 0.5 0.25\n")


def test_the_variable_cc_names_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    assert find_compiler() == next(
        (found for name in ("cc", "gcc", "clang") if (found := shutil.which(name))), None
    )
    monkeypatch.setenv("PATH", "")
    assert find_compiler() is None


@compiled
@pytest.mark.parametrize("stem", ["net", "Net-2", "2nd", "int"])
def test_functions_are_named_after_the_file(stem: str, tmp_path: Path) -> None:
    made = make(parse("gap linear(3)"), (1, 4, 4))
    notes = replace(made.notes, stem=stem)
    source = write_float(made.program, made.weights, notes)
    (tmp_path / f"{stem}.c").write_text(source.code)
    (tmp_path / f"{stem}.h").write_text(source.header)
    compile_main(tmp_path / f"{stem}.c", tmp_path / "net.exe", notes.prefix, COMPILERS[0], STRICT)
    assert is_close(run_main([str(tmp_path / "net.exe")], made.pixels), truth_of(made))
    if shutil.which("g++"):  # the header in C++, as sketches for Arduino are
        (tmp_path / "use.cpp").write_text(f'#include "{stem}.h"\nint main() {{ return 0; }}\n')
        command = ["g++", "-Wall", "-Wextra", "-Werror", str(tmp_path / "use.cpp")]
        subprocess.run([*command, "-o", str(tmp_path / "use.exe")], check=True)


@compiled
@pytest.mark.slow
@pytest.mark.skipif(
    not (REAL and (Path(REAL) / "MNIST" / "raw").is_dir()),
    reason="LIGHTSEARCH_DATA names no folder with MNIST/raw",
)
@pytest.mark.needs("onnx", "onnxruntime", "onnxscript")
def test_all_test_images_of_mnist(tmp_path: Path) -> None:
    weights = tmp_path / "weights.safetensors"
    design = "conv(8,act-norm) maxpool residual([separable(12,gelu)],project) se maxpool gap"
    train = ["train", f"{design} linear(10)", "--epochs", "2", "--save", str(weights)]
    assert CliRunner().invoke(main, train).exit_code == 0
    for int8 in (False, True):
        found = export(weights, tmp_path / "net.c", int8=int8)  # int8: bit for bit
        graph = export(weights, tmp_path / "net.onnx", int8=int8)
        ours = _classes(found.path, tmp_path)
        theirs = open_net(graph.path)
        images = load("mnist").test[0].float() / 255
        scores = torch.cat([theirs.scores(theirs.normalise(x)) for x in images.split(500)])
        same = int((scores.argmax(1) == ours).sum())
        print(f"int8={int8}: {found}\n{graph}\n{same} of 10,000 have onnxruntime's class")
        assert (found.total == 10_000 and found.same == 10_000) or int8
        assert same == 10_000 or int8
        assert same > 9_400 and abs(found.correct - graph.correct) < 100


def _classes(code: Path, folder: Path) -> Tensor:
    compile_main(code, folder / "net.exe", "net", COMPILERS[0])
    return run_main([str(folder / "net.exe")], load("mnist").test[0]).argmax(1)


# A microcontroller -------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.skipif(not IS_HERE, reason="needs arm-none-eabi-gcc with newlib, qemu-system-arm")
@pytest.mark.parametrize("int8", [False, True], ids=["float", "int8"])
def test_ten_images_on_a_cortex_m4(studied: SearchResult, int8: bool, tmp_path: Path) -> None:
    found = export(studied, tmp_path / "net.c", int8=int8)
    code, constants, memory = measure(found.path)
    print(f"{found.metadata['design']}: {code} bytes of code, {constants} of constants")
    assert 0 < code < 4096 and memory == 0
    windows = found.path.read_text().count("static const Window")  # some become code
    assert abs(constants - found.value_bytes) <= 44 * windows
    images = load("digits").test[0][:10]
    scores = run_on_cortex(found.path, "net", images)
    compile_main(found.path, tmp_path / "net.exe", "net", COMPILERS[0])
    here = run_main([str(tmp_path / "net.exe")], images)
    assert torch.equal(scores, here) if int8 else is_close(scores, here)
    assert torch.equal(scores.argmax(1), here.argmax(1)) and len(scores) == 10
