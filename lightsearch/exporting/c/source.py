"""The text of the C file and of its header."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lightsearch.engines.engine import State
from lightsearch.exporting.c.calls import call_float, call_int8
from lightsearch.exporting.c.constants import LINE, Constants
from lightsearch.exporting.c.kernels import FLOAT, INT8, WINDOW
from lightsearch.exporting.c.notes import Notes, comment, write_class_names, write_facts
from lightsearch.exporting.c.program import Program
from lightsearch.exporting.c.quantising import QuantisedProgram


@dataclass(frozen=True, slots=True)
class Source:
    """A C file and its header. It stores `values` numbers in `value_bytes` bytes."""

    code: str
    header: str
    values: int
    value_bytes: int


def write_float(program: Program, weights: State, notes: Notes) -> Source:
    """Write a program in float32."""
    constants = Constants()
    calls = [call_float(one, weights, constants) for one in program.instructions]
    means = constants.add_array("means", "float", notes.mean)
    deviations = constants.add_array("deviations", "float", notes.std)
    read = _READ_FLOAT.format(means=means, deviations=deviations)
    return _write(program, constants, calls, notes, FLOAT, "float", read)


def write_int8(net: QuantisedProgram, notes: Notes) -> Source:
    """Write a program in int8."""
    constants = Constants()
    calls = [
        call_int8(one, integers, constants)
        for one, integers in zip(net.program.instructions, net.integers, strict=True)
    ]
    read = _READ_INT8.format(levels=constants.add_array("levels", "int8_t", net.pixels))
    scale = f"A score is {net.output.scale:.9g} * (value {-net.output.zero:+d})."
    return _write(net.program, constants, calls, notes, INT8, "int8_t", read, scale)


_READ_FLOAT = """\
    for (int c = 0, i = 0; c < {{PREFIX}}_CHANNELS; c++)
        for (int p = 0; p < {{PREFIX}}_HEIGHT * {{PREFIX}}_WIDTH; p++, i++)
            memory[i] = ((float)pixels[i] / 255.0f - {means}[c]) / {deviations}[c];"""

_READ_INT8 = """\
    for (int c = 0, i = 0; c < {{PREFIX}}_CHANNELS; c++)
        for (int p = 0; p < {{PREFIX}}_HEIGHT * {{PREFIX}}_WIDTH; p++, i++)
            memory[i] = {levels}[256 * c + pixels[i]];"""

_CODE = """\
/* {about}
   {made} */
{includes}#include "{stem}.h"

/* Constants ------------------------------------------------------------------------------- */

typedef char int_must_have_32_bits[sizeof(int) >= 4 ? 1 : -1];

{constants}

/* Layers ---------------------------------------------------------------------------------- */

{kernels}

/* The network ----------------------------------------------------------------------------- */

void {prefix}_read(const unsigned char pixels[{PREFIX}_PIXELS], {kind} memory[{PREFIX}_MEMORY])
{{
{read}
}}

const {kind} *{prefix}_run({kind} memory[{PREFIX}_MEMORY])
{{
{calls}
    return {output};
}}

int {prefix}_class(const {kind} scores[{PREFIX}_CLASSES])
{{
    int best = 0;
    for (int i = 1; i < {PREFIX}_CLASSES; i++)
        if (scores[i] > scores[best])
            best = i;
    return best;
}}

#ifdef {PREFIX}_MAIN
#include <stdio.h>

/* Reads images from the file that is named, or from standard input: a byte a pixel, channel by
   channel. Prints a line an image: its class, then its scores. */
int main(int argc, char **argv)
{{
    static unsigned char pixels[{PREFIX}_PIXELS];
    static {kind} memory[{PREFIX}_MEMORY];
    FILE *file = argc > 1 ? fopen(argv[1], "rb") : stdin;
    if (file == 0) {{
        fprintf(stderr, "no file %s\\n", argv[1]);
        return 1;
    }}
    while (fread(pixels, 1, {PREFIX}_PIXELS, file) == {PREFIX}_PIXELS) {{
        const {kind} *scores;
        {prefix}_read(pixels, memory);
        scores = {prefix}_run(memory);
        printf("%d", {prefix}_class(scores));
        for (int i = 0; i < {PREFIX}_CLASSES; i++)
            printf(" {format}", {cast}scores[i]);
        printf("\\n");
    }}
    return 0;
}}
#endif
"""

_HEADER = """\
/* {about}

   {usage}

{facts}
*/
#ifndef {PREFIX}_H
#define {PREFIX}_H

{includes}#define {PREFIX}_CLASSES {classes}
#define {PREFIX}_CHANNELS {channels}
#define {PREFIX}_HEIGHT {height}
#define {PREFIX}_WIDTH {width}
#define {PREFIX}_PIXELS ({PREFIX}_CHANNELS * {PREFIX}_HEIGHT * {PREFIX}_WIDTH)
#define {PREFIX}_MEMORY {memory} /* values of {kind}: {memory_bytes} bytes */
#define {PREFIX}_CONSTANT_BYTES {constant_bytes} /* weights and tables, all of them const */

#ifdef __cplusplus
extern "C" {{
#endif

/* Normalises an image, from 0 to 255 and channel by channel, and puts it into the memory. */
void {prefix}_read(const unsigned char pixels[{PREFIX}_PIXELS], {kind} memory[{PREFIX}_MEMORY]);

/* Returns the scores of the image in the memory, which it overwrites; they are in the memory.
   {scale} */
const {kind} *{prefix}_run({kind} memory[{PREFIX}_MEMORY]);

/* Returns the class with the highest score, the first one if several have it. */
int {prefix}_class(const {kind} scores[{PREFIX}_CLASSES]);
{class_names}
#ifdef __cplusplus
}}
#endif

#endif
"""


def _write(
    program: Program,
    constants: Constants,
    calls: list[str],
    notes: Notes,
    kernels: Mapping[str, str],
    kind: str,
    read: str,
    scale: str = "They are logits: a softmax makes shares of them.",
) -> Source:
    prefix, is_float = notes.prefix, kind == "float"
    channels, height, width = program.input.shape
    texts = _pick_kernels(kernels, "\n".join(calls))
    names = {
        "prefix": prefix,
        "PREFIX": prefix.upper(),
        "stem": notes.stem,
        "kind": kind,
        "about": comment(f"{notes.metadata['design']}: a network in C99, of {kind}."),
    }
    code = _CODE.format(
        **names,
        made=comment(
            f"lightsearch={notes.metadata['lightsearch']} protocol={notes.metadata['protocol']}"
        ),
        includes="#include <math.h>\n" if is_float and _needs_math("\n".join(texts)) else "",
        constants="\n\n".join(_list_constants(constants)),
        kernels="\n\n".join(texts),
        read=read.format(PREFIX=prefix.upper()),
        calls="\n".join(_write_calls(program, calls)),
        output=f"memory + {program.output.offset}",
        format="%.9g" if is_float else "%d",
        cast="(double)" if is_float else "",
    )
    header = _HEADER.format(
        **names,
        usage=_USAGE.format(prefix=prefix, PREFIX=prefix.upper(), kind=kind, stem=notes.stem),
        facts="\n".join(write_facts(notes)),
        includes="" if is_float else "#include <stdint.h>\n\n",
        classes=program.output.size,
        channels=channels,
        height=height,
        width=width,
        memory=program.memory,
        memory_bytes=f"{program.memory * (4 if is_float else 1):,}",
        constant_bytes=constants.bytes,
        class_names=write_class_names(notes),
        scale=scale,
    )
    return Source(code, header, constants.values, constants.bytes)


_USAGE = """\
#include "{stem}.h"

   static {kind} memory[{PREFIX}_MEMORY];
   {prefix}_read(pixels, memory);
   int label = {prefix}_class({prefix}_run(memory));"""


def _list_constants(constants: Constants) -> list[str]:
    """Return the texts of the constants, after the type of windows if there are any."""
    texts = list(constants.texts.values())
    has_windows = any(text.startswith("static const Window") for text in texts)
    return [WINDOW, *texts] if has_windows else texts


def _write_calls(program: Program, calls: list[str]) -> Iterator[str]:
    """Yield the lines of the network: the calls, with each layer and its output before them."""
    layer = ""
    for one, call in zip(program.instructions, calls, strict=True):
        if layer != (layer := f"{one.place} {one.layer}"):
            yield f"    /* {comment(layer, 4)} */"
        yield textwrap.fill(
            call, LINE, initial_indent="    ", subsequent_indent="        ", break_on_hyphens=False
        )


def _pick_kernels(kernels: Mapping[str, str], calls: str) -> list[str]:
    """Return the functions that the calls need, and those that these need."""
    needed: set[str] = set()
    text = calls
    while found := {name for name in kernels if re.search(rf"\b{name}\(", text)} - needed:
        needed |= found
        text = "\n".join(kernels[name] for name in found)
    return [text for name, text in kernels.items() if name in needed]


def _needs_math(text: str) -> bool:
    return re.search(r"\b(expf|erff|tanhf|sqrtf|fminf|fmaxf|INFINITY)\b", text) is not None
