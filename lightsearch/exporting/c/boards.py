"""Boards with a microcontroller, and whether a network's C file fits one. No torch."""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from lightsearch.errors import ArgumentError

CODE = 8192  # bytes of flash set aside: every layer's code, with its library, takes 7.3 KB
STACK = 2048  # bytes of RAM set aside: the network itself needs a few hundred


@dataclass(frozen=True, slots=True)
class Board:
    """A board: the chip on it, its bytes of flash and RAM, and the document that says so.

    The two sizes are all of the board's. Its radio stack, boot loader or operating system take
    their share first.
    """

    name: str
    title: str
    flash: int
    ram: int
    source: str


_K = 1024
BOARDS = {
    board.name: board
    for board in (
        Board("blue-pill", "Blue Pill, STM32F103C8", 64 * _K, 20 * _K, "ST, DS5319"),
        Board("uno-r4", "Arduino UNO R4, RA4M1", 256 * _K, 32 * _K, "Renesas, R01DS0355"),
        Board("mkr-zero", "Arduino MKR Zero, SAMD21", 256 * _K, 32 * _K, "Arduino, memory guide"),
        Board("microbit-v2", "micro:bit v2, nRF52833", 512 * _K, 128 * _K, "Nordic, nRF52833 PS"),
        Board("nucleo-f446re", "Nucleo STM32F446RE", 512 * _K, 128 * _K, "ST, DS10693"),
        Board(
            "nano-33-ble",
            "Arduino Nano 33 BLE, nRF52840",
            1024 * _K,
            256 * _K,
            "Arduino, memory guide",
        ),
        Board("pico", "Raspberry Pi Pico, RP2040", 2048 * _K, 264 * _K, "Pico datasheet"),
    )
}


@dataclass(frozen=True, slots=True)
class Fit:
    """What a C file of a network takes of a board, in bytes, and what of it is too much."""

    kind: str
    constants: int
    memory: int
    lacks: tuple[str, ...]


def find_board(name: str) -> Board:
    """Return a board by its name. Raises `ArgumentError`, with the names, for another one."""
    if name not in BOARDS:
        close = difflib.get_close_matches(name, BOARDS, 1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        raise ArgumentError(f"`board` must be one of {', '.join(BOARDS)}, but got {name!r}{hint}")
    return BOARDS[name]


def fit(board: Board, kind: str, constants: int, memory: int) -> Fit:
    """Compare the bytes of a C file with a board, `CODE` and `STACK` besides.

    >>> from lightsearch.exporting.c.boards import BOARDS, fit
    >>> fit(BOARDS["uno-r4"], "float32", 30_000, 40_000).lacks
    ('RAM',)
    """
    needs = {"flash": (constants + CODE, board.flash), "RAM": (memory + STACK, board.ram)}
    lacks = tuple(name for name, (need, has) in needs.items() if need > has)
    return Fit(kind, constants, memory, lacks)
