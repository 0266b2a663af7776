"""The check of wheels finds every kind of mistake that it names."""

from __future__ import annotations

import platform
import re
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import check_wheels
import pytest
from check_wheels import ENGINE, NEEDED, Library, faults, read_library

from lightsearch.engines.native.library import path_of

TAG = "py3-none-manylinux_2_28_x86_64"
GOOD = Library("linux", "x86_64", ("libc.so.6", "libm.so.6"), (2, 27))
FILES = [*NEEDED, *(f"{ENGINE}{build}.so" for build in ("plain", "v3", "v4"))]


@pytest.fixture
def found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """The faults of a wheel with these files, whose libraries say this of themselves."""

    def check(
        files: list[str], library: Library = GOOD, tag: str = TAG, name: str = ""
    ) -> list[str]:
        wheel = tmp_path / (name or f"lightsearch-0.1.0-{TAG}.whl")
        with zipfile.ZipFile(wheel, "w") as file:
            for one in files:
                file.writestr(one, "")
            file.writestr("lightsearch-0.1.0.dist-info/WHEEL", f"Wheel-Version: 1.0\nTag: {tag}\n")
        monkeypatch.setattr(check_wheels, "read_library", lambda data: library)
        return list(faults(wheel))

    return check


def test_a_good_wheel_has_no_fault(found: Callable[..., list[str]]) -> None:
    assert found(FILES) == []


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(found: Callable[..., list[str]], name: str) -> None:
    assert found([file for file in FILES if file != name]) == [f"{name} is missing"]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("tests/test_wheels.py", "tests/test_wheels.py does not belong in it"),
        ("lightsearch/other.so", "lightsearch/other.so is a library too many"),
        (f"{ENGINE}plain.dll", f"{ENGINE}plain.dll is a library too many"),
    ],
)
def test_a_file_too_many_is_named(found: Callable[..., list[str]], name: str, fault: str) -> None:
    assert found([*FILES, name]) == [fault]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("lightsearch-0.1.0-cp311-cp311-linux_x86_64.whl", "the name must end in py3-none"),
        (
            "lightsearch-0.1.0-py3-none-linux_x86_64.whl",
            "the platform must be one that we publish",
        ),
    ],
)
def test_a_name_that_we_do_not_publish(
    found: Callable[..., list[str]], name: str, fault: str
) -> None:
    (said,) = found(FILES, name=name)
    assert said.startswith(fault)


def test_another_tag_inside(found: Callable[..., list[str]]) -> None:
    (said,) = found(FILES, tag="py3-none-linux_x86_64")
    assert said == "the tag inside must be that of the name, but it is py3-none-linux_x86_64"


@pytest.mark.parametrize(
    ("library", "fault"),
    [
        (Library("macos", "x86_64", (), (11, 0)), "the system must be linux, but it is macos"),
        (Library("linux", "aarch64", (), (2, 17)), "the processor must be x86_64"),
        (Library("linux", "x86_64", ("libgomp.so.1",), (2, 17)), "it needs libgomp.so.1, which"),
        (Library("linux", "x86_64", (), (2, 29)), "it needs version 2.29 of the system, newer"),
    ],
)
def test_a_library_that_would_not_run_there(
    found: Callable[..., list[str]], library: Library, fault: str
) -> None:
    said = found(FILES, library)
    assert any(fault in one for one in said)
    assert all(one.startswith(ENGINE) for one in said)


def test_what_is_no_library_is_refused() -> None:
    with pytest.raises(ValueError, match="no shared library of a 64-bit system"):
        read_library(b"#!/bin/sh")


@pytest.mark.needs("elftools")
@pytest.mark.skipif(sys.platform != "linux" or not path_of("plain").exists(), reason="no ELF here")
def test_this_machines_library_is_read() -> None:
    data = path_of("plain").read_bytes()
    library = read_library(data)
    assert (library.system, library.processor) == ("linux", platform.machine())
    assert "libc.so.6" in library.libraries
    named = re.findall(rb"\0GLIBC_(\d+)\.(\d+)", data)
    assert library.needs[:2] == max((int(one), int(two)) for one, two in named)
