"""Compile a C file for Cortex-M4 and run it in QEMU, which emulates the board MPS2-AN386."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from torch import Tensor

from lightsearch.exporting.c.compiling import read_lines

COMPILER, SIZER, EMULATOR = "arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm"
IS_HERE = all(shutil.which(name) for name in (COMPILER, SIZER, EMULATOR))
_CPU = ("-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=hard", "-mfpu=fpv4-sp-d16")
_FLAGS = (*_CPU, "-std=c99", "-Os", "-Wall", "-Wextra", "-Werror", "-pedantic")

_START = """\
extern void _start(void);
extern char stack_top;

static void reset(void)
{
    *(volatile unsigned *)0xE000ED88 |= 0xFu << 20; /* the floating point unit */
    _start();
}

__attribute__((section(".vectors"), used)) static const void *const vectors[2] = {
    &stack_top, (const void *)reset};
"""
_LAYOUT = """\
ENTRY(_start)
SECTIONS {
    . = 0;
    .text : {
        KEEP(*(.vectors)) KEEP(*(.init)) KEEP(*(.fini))
        *(.text* .rodata* .init_array* .fini_array*)
    }
    .ARM.exidx : { __exidx_start = .; *(.ARM.exidx*) __exidx_end = .; }
    . = 0x20000000;
    .data : { *(.data*) }
    .bss : { __bss_start__ = .; *(.bss* COMMON) __bss_end__ = .; }
    end = .;
    __end__ = .;
    stack_top = 0x20400000;
}
"""


def measure(code: Path) -> tuple[int, int, int]:
    """Return the bytes of code, of constants and of static memory of a file without its main."""
    object_file = code.with_suffix(".o")
    command = [COMPILER, *_FLAGS, "-ffunction-sections", "-c", str(code), "-o", str(object_file)]
    subprocess.run(command, check=True)
    listed = subprocess.run(
        [SIZER, "-A", str(object_file)], capture_output=True, text=True, check=True
    )
    sizes = {"text": 0, "rodata": 0, "data": 0, "bss": 0}
    for name, size in re.findall(r"^\.(text|rodata|data|bss)\S*\s+(\d+)", listed.stdout, re.M):
        sizes[name] += int(size)
    return sizes["text"], sizes["rodata"], sizes["data"] + sizes["bss"]


def run_on_cortex(code: Path, prefix: str, images: Tensor) -> Tensor:
    """Return the scores that the emulated board prints for uint8 images."""
    folder = code.parent
    (folder / "start.c").write_text(_START)
    (folder / "board.ld").write_text(_LAYOUT)
    build = f"-std=c99 -Os -D{prefix.upper()}_MAIN --specs=rdimon.specs -T board.ld start.c"
    build += f" {code.name} -o net.elf -lm"
    subprocess.run([COMPILER, *_CPU, *build.split()], cwd=folder, check=True)
    (folder / "pixels").write_bytes(images.contiguous().numpy().tobytes())
    board = "-M mps2-an386 -nographic -monitor none -serial none -kernel net.elf"
    board += " -semihosting-config enable=on,target=native,arg=net,arg=pixels"
    done = subprocess.run(
        [EMULATOR, *board.split()],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    return read_lines(done.stdout)
