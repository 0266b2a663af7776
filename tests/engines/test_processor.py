"""The build of the native engine that is chosen on a processor.

The oracles are Linux's /proc/cpuinfo, GCC's `__builtin_cpu_supports`, and QEMU's processors.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_cpp import COMPILER, CPP, check_syntax

pytestmark = [
    pytest.mark.skipif(platform.machine().lower() not in ("x86_64", "amd64"), reason="one build"),
    pytest.mark.skipif(COMPILER is None, reason="there is no C++ compiler"),
]
QEMU = shutil.which("qemu-x86_64-static") or shutil.which("qemu-x86_64")
COMPILERS = sorted(
    {one for one in (COMPILER, shutil.which("g++"), shutil.which("clang++")) if one}
)
PROGRAM = """
#include "processor.hpp"
#include <cstdio>
#define HAS(feature) (__builtin_cpu_supports(feature) != 0)
int main() {
    __builtin_cpu_init();
    const bool avx2 = HAS("avx2") && HAS("fma");
    const bool avx512 = HAS("avx512f") && HAS("avx512bw") && HAS("avx512dq") && HAS("avx512vl");
    std::printf("%d %d", static_cast<int>(best_build()), avx2 ? 3 + avx512 : 0);
}
"""
AVX2, AVX512 = "bit_AVX2", "bit_AVX512F | bit_AVX512BW | bit_AVX512DQ | bit_AVX512VL"


def compiled(compiler: str, folder: Path) -> Path:
    source, program = folder / "program.cpp", folder / "program"
    source.write_text(PROGRAM)
    command = [compiler, "-std=c++17", "-O3", "-static", f"-I{CPP}", str(source)]
    subprocess.run([*command, "-o", str(program)], check=True)
    return program


def chosen(*command: str) -> list[int]:
    """The build that our code chooses, and the one that the compiler's own code would."""
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [int(one) for one in done.stdout.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="no /proc/cpuinfo")
@pytest.mark.parametrize("compiler", COMPILERS)
def test_this_processors_build_is_that_of_its_flags(compiler: str, tmp_path: Path) -> None:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    flags = set(next(line for line in lines if line.startswith("flags")).split())
    avx512 = {"avx512f", "avx512bw", "avx512dq", "avx512vl"} <= flags
    best = (4 if avx512 else 3) if {"avx2", "fma"} <= flags else 0
    assert chosen(str(compiled(compiler, tmp_path))) == [best, best]


@pytest.mark.skipif(sys.platform != "linux" or QEMU is None, reason="no QEMU")
@pytest.mark.parametrize(
    ("processor", "best"),
    [("Nehalem", 0), ("SandyBridge", 0), ("Haswell", 3), ("Haswell,-fma", 0), ("EPYC,-avx2", 0)],
)
def test_the_build_on_an_emulated_processor(processor: str, best: int, tmp_path: Path) -> None:
    program = compiled(str(COMPILER), tmp_path)
    assert chosen(str(QEMU), "-cpu", processor, str(program)) == [best, best]


@pytest.mark.parametrize(
    ("leaf1", "leaf7", "saved", "best"),
    [
        ("bit_FMA", f"{AVX2} | {AVX512}", 0xE7, 4),
        ("bit_FMA", f"({AVX2} | {AVX512}) ^ bit_AVX512VL", 0xE7, 3),  # a Xeon Phi lacks it
        ("bit_FMA", AVX2, 0xE7, 3),
        ("0", f"{AVX2} | {AVX512}", 0xE7, 0),
        ("bit_FMA", AVX512, 0xE7, 0),
        pytest.param(
            *("bit_FMA", f"{AVX2} | {AVX512}", 0x07, 3),  # as a hypervisor may have it
            marks=pytest.mark.skipif(sys.platform == "darwin", reason="saved from the first use"),
        ),
        ("bit_FMA", f"{AVX2} | {AVX512}", 0x03, 0),  # a system that saves no AVX register
    ],
)
def test_a_build_needs_its_instructions_and_a_system_that_saves_their_registers(
    leaf1: str, leaf7: str, saved: int, best: int
) -> None:
    values = f"{leaf1}, {leaf7}, {saved}"
    text = f"""
        #include "processor.hpp"
        static_assert(build_for(Processor{{{values}}}) == {best});
    """
    assert check_syntax(text) == ""
