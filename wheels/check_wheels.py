"""Opens wheels and checks that each holds what its name promises.

    python wheels/check_wheels.py dist

Checked: one tag that every Python takes; all builds of the engine, for that processor and system,
the C++ sources and the data files; nothing that belongs to tests; no library that such a system
lacks, and no newer glibc or macOS than the tag allows. Ends with status 1 if something is wrong.
"""

from __future__ import annotations

import argparse
import io
import re
import sys
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ENGINE = "lightsearch/engines/native/engine_"
NEEDED = (
    "lightsearch/__init__.py",
    "lightsearch/py.typed",
    "lightsearch/engines/native/cpp/engine.cpp",
    "lightsearch/report/templates/study.html",
    "lightsearch/surrogate/curves.csv",
    "lightsearch/zoo/published_designs.csv",
)
SYSTEM_LIBRARIES = {
    "linux": r"lib(c|m|pthread|dl|gcc_s|stdc\+\+)\.so\.\d+|ld-linux-[\w-]+\.so\.\d+",
    "macos": r"/usr/lib/lib(System\.B|c\+\+\.1)\.dylib",
    "windows": r"(?i)kernel32\.dll|ntdll\.dll|msvcrt\.dll|api-ms-win-crt-[\w-]+\.dll",
}


@dataclass(frozen=True, slots=True)
class Machine:
    """What a platform tag stands for. `newest` is the system's version that it promises."""

    system: str
    processor: str
    newest: tuple[int, ...] = ()


def machine(tag: str) -> Machine | None:
    """Return what a tag stands for, None for a tag that we do not publish."""
    if found := re.fullmatch(r"manylinux_2_(\d+)_(x86_64|aarch64)", tag):
        return Machine("linux", found[2], (2, int(found[1])))
    if found := re.fullmatch(r"macosx_(\d+)_(\d+)_(x86_64|arm64)", tag):
        return Machine("macos", found[3], (int(found[1]), int(found[2])))
    return Machine("windows", "x86_64") if tag == "win_amd64" else None


@dataclass(frozen=True, slots=True)
class Library:
    """What a shared library says of itself. `needs` is the oldest system that has its symbols."""

    system: str
    processor: str
    libraries: tuple[str, ...]
    needs: tuple[int, ...] = ()


def read_library(data: bytes) -> Library:
    """Read an ELF, a Mach-O or a PE file; raise `ValueError` for anything else."""
    readers: dict[bytes, Callable[[bytes], Library]] = {
        b"\x7fELF": _read_elf,
        b"\xcf\xfa\xed\xfe": _read_mach_o,
        b"MZ": _read_pe,
    }
    for magic, reader in readers.items():
        if data.startswith(magic):
            return reader(data)
    raise ValueError("it is no shared library of a 64-bit system")


def _read_elf(data: bytes) -> Library:
    from elftools.elf.elffile import ELFFile

    file = ELFFile(io.BytesIO(data))
    processor = {"EM_X86_64": "x86_64", "EM_AARCH64": "aarch64"}.get(file["e_machine"], "?")
    needed = file.get_section_by_name(".dynamic").iter_tags("DT_NEEDED")
    versions = []
    for _, symbols in file.get_section_by_name(".gnu.version_r").iter_versions():
        for symbol in symbols:
            if symbol.name.startswith("GLIBC_"):
                versions.append(_numbers(symbol.name.removeprefix("GLIBC_")))
    return Library("linux", processor, tuple(tag.needed for tag in needed), max(versions))


def _read_mach_o(data: bytes) -> Library:
    from macholib.mach_o import CPU_TYPE_NAMES, LC_BUILD_VERSION, LC_LOAD_DYLIB
    from macholib.MachO import MachO

    with_path = MachO.__new__(MachO)  # it reads from a path only
    with_path.graphident = with_path.filename = with_path.loader_path = ""
    with_path.fat, with_path.headers, with_path.allow_unknown_load_commands = None, [], True
    with_path.load(io.BytesIO(data))
    (header,) = with_path.headers
    processor = {"ARM64": "arm64"}.get(CPU_TYPE_NAMES[header.header.cputype], "x86_64")
    libraries, needs = [], (0,)
    for load, command, rest in header.commands:
        if load.cmd == LC_LOAD_DYLIB:
            libraries.append(rest.rstrip(b"\0").decode())
        if load.cmd == LC_BUILD_VERSION:
            needs = (command.minos >> 16, command.minos >> 8 & 255)
    return Library("macos", processor, tuple(libraries), needs)


def _read_pe(data: bytes) -> Library:
    import pefile

    file = pefile.PE(data=data)
    processor = {0x8664: "x86_64"}.get(file.FILE_HEADER.Machine, "?")
    entries = getattr(file, "DIRECTORY_ENTRY_IMPORT", [])
    return Library("windows", processor, tuple(entry.dll.decode() for entry in entries))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def faults(wheel: Path) -> Iterator[str]:
    """Say what is wrong with a wheel, in sentences."""
    parts = wheel.stem.split("-")
    if len(parts) != 5 or parts[2:4] != ["py3", "none"]:
        yield f"the name must end in py3-none and a platform, but it is {wheel.name}"
        return
    stands_for = machine(parts[4])
    if stands_for is None:
        yield f"the platform must be one that we publish, but it is {parts[4]}"
        return
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        yield from _wrong_names(names, stands_for)
        tags = re.findall(
            r"(?m)^Tag: (.+)$", file.read(f"{'-'.join(parts[:2])}.dist-info/WHEEL").decode()
        )
        if tags != ["-".join(parts[2:])]:
            yield f"the tag inside must be that of the name, but it is {', '.join(tags)}"
        for name in names:
            if name.startswith(ENGINE):
                for fault in _library_faults(file.read(name), stands_for):
                    yield f"{name}: {fault}"


def _wrong_names(names: list[str], stands_for: Machine) -> Iterator[str]:
    builds = ["plain", *(("v3", "v4") if stands_for.processor == "x86_64" else ())]
    suffix = ".dll" if stands_for.system == "windows" else ".so"
    engines = {f"{ENGINE}{build}{suffix}" for build in builds}
    for name in sorted({*NEEDED, *engines} - set(names)):
        yield f"{name} is missing"
    for name in names:
        folder = name.split("/")[0]
        compiled = name.endswith((".so", ".dll", ".dylib", ".pyd"))
        if folder != "lightsearch" and not folder.endswith(".dist-info"):
            yield f"{name} does not belong in it"
        elif compiled and name not in engines:
            yield f"{name} is a library too many"


def _library_faults(data: bytes, stands_for: Machine) -> Iterator[str]:
    try:
        library = read_library(data)
    except ValueError as error:
        yield str(error)
        return
    for what in ("system", "processor"):
        wanted, got = getattr(stands_for, what), getattr(library, what)
        if wanted != got:
            yield f"the {what} must be {wanted}, but it is {got}"
    allowed = SYSTEM_LIBRARIES[stands_for.system]
    for name in library.libraries:
        if not re.fullmatch(allowed, name):
            yield f"it needs {name}, which is no part of the system"
    if library.needs > stands_for.newest:
        needed, promised = (
            ".".join(map(str, version)) for version in (library.needs, stands_for.newest)
        )
        yield f"it needs version {needed} of the system, newer than {promised}"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    wheels = sorted(parser.parse_args().folder.glob("*.whl"))
    wrong = [(wheel, fault) for wheel in wheels for fault in faults(wheel)]
    for wheel in wheels:
        size = wheel.stat().st_size / 2**20
        print(
            f"{wheel.name}: {size:.1f} MB, {'wrong' if wheel in dict(wrong) else 'as it must be'}"
        )
    for wheel, fault in wrong:
        print(f"{wheel.name}: {fault}", file=sys.stderr)
    if wrong or not wheels:
        sys.exit(f"{len(wrong)} faults in {len(wheels)} wheels")


if __name__ == "__main__":
    main()
