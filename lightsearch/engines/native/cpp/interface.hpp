// What Python and this library share: the structs that Python fills, and the constants that it
// writes into them. `interface.py` has the same structs and constants; when Python loads the
// library, it compares them with the table at the end of this file, entry by entry.
#pragma once
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "lanes.hpp"

namespace {

// A network -----------------------------------------------------------------------------------

enum Kind {
    CONV,
    POINTWISE,
    MAX_POOL,
    AVERAGE_POOL,
    GLOBAL_POOL,
    GATE,
    SQUEEZE,
    RESIZE,
    ADD,
    PRELU,
    MEASURE,
    GROUP_NORM,
    CONCAT,
    MOVE
};
enum Function {
    IDENTITY,
    RELU,
    GELU,
    SILU,
    HARDSWISH,
    RELU6,
    LEAKYRELU,
    TANH,
    SIGMOID,
    HARDSIGMOID
};
enum Border { ZEROS, REFLECT, REPLICATE };  // what lies around an image that is padded
enum DropMode { NO_DROP, PER_ELEMENT, PER_CHANNEL };
enum Gradient { NO_GRADIENT = -2, OWN_BLOCK = -1 };  // else the index of a shared buffer
enum Offset { ABSENT = -1 };                         // of a parameter, or of another op

// A tensor.
struct Value {
    int64_t channels, height, width;
    int64_t halo;      // width of the border of zeros that pads each plane for its readers
    int64_t batch;     // 1: kept for the whole batch; 0: kept for one block only
    int64_t gradient;  // a `Gradient`, or the index of the shared buffer that holds it
};

// An operation that makes a tensor from another.
struct Op {
    int64_t kind;
    int64_t source, other, target;  // values; `other` is the shortcut of an addition
    int64_t height, width;          // of the window
    int64_t stride, padding, groups;
    int64_t dilation;                // distance in pixels between neighbouring taps of the window
    int64_t weight, bias;            // offsets in the parameters
    int64_t weight2, bias2, hidden;  // the second layer of a squeeze-excitation
    int64_t gamma, beta, running;    // batch norm, if `running` is not absent
    int64_t before, after;  // functions around the normalisation, one of which is the identity
    double slope;           // of a leaky ReLU below zero
    int64_t channel, top, left;           // where MOVE writes the first pixel of its source
    int64_t border;                       // what MOVE writes around it
    int64_t drop, threshold, drop_index;  // drops `threshold` in 65,536; index of this dropout
    int64_t tail;  // index of the pointwise op that follows a convolution or MEASURE
    int64_t wanted, wanted_other;  // whether source and other need a gradient
    int64_t adds, adds_other;      // whether that gradient is added to an earlier one
    int64_t again;                 // whether the backward pass computes the target again
    int64_t barrier;               // whether the next op needs all blocks of this one
};

// Images --------------------------------------------------------------------------------------

struct Images {
    const uint8_t *pixels;  // (count, channels, height, width)
    const int64_t *labels;
    int64_t count, channels, height, width;
    const double *mean, *deviation;  // of each channel, for pixels in [0, 1]
};

struct Augmentation {
    double rotation, shear;  // radians
    double scale, shift, brightness, contrast, erasing;
    uint64_t affine_stream, brightness_stream, contrast_stream, erasing_stream;
};

// Training ------------------------------------------------------------------------------------

enum Optimizer { SGD, ADAM, ADAMW };

// How a call ends. After anything but DONE, what it should have filled is undefined.
enum Status { DONE, STOPPED, NO_SUCH_IMAGE, NO_SUCH_CLASS };

// What the steps of an epoch share. A null pointer stands for what is not there.
struct Training {
    const Images *images;
    const Augmentation *augmentation;  // without streams, which each step has
    real *parameters, *gradients, *running;
    real *average, *average_running;
    real *first, *second;  // the optimizer's memory: the momentum, or both moments
    const real *decay;     // of the weights, one for each parameter
    int64_t parameter_count, running_count;
    int64_t optimizer, steps;  // `steps` were made before
    double momentum, smoothing;
};

struct Step {
    int64_t images;  // number of indices, which follow those of the step before
    double rate;
    double towards;  // how far the averages move towards the weights, from 0 to 1
    uint64_t dropout_stream;
    uint64_t affine_stream, brightness_stream, contrast_stream, erasing_stream;
};

// The table -----------------------------------------------------------------------------------

struct Entry {
    const char *name, *type;
    int64_t size;    // of a field, in bytes; 0 for a constant
    int64_t number;  // a field's offset in bytes, or a constant's value
};

template <class Field> constexpr const char *type_name() {
    if (std::is_pointer<Field>::value) return "pointer";
    if (std::is_same<Field, double>::value) return "double";
    if (std::is_same<Field, uint64_t>::value) return "uint64";
    return std::is_same<Field, int64_t>::value ? "int64" : "unknown";
}

// clang-format off
#define FIELD(record, field)                                                     \
    {#record "." #field, type_name<decltype(record::field)>(), sizeof(record::field), \
     offsetof(record, field)}
#define CONSTANT(name) {#name, "constant", 0, name}

constexpr Entry INTERFACE[] = {
    FIELD(Value, channels), FIELD(Value, height), FIELD(Value, width), FIELD(Value, halo),
    FIELD(Value, batch), FIELD(Value, gradient),
    FIELD(Op, kind), FIELD(Op, source), FIELD(Op, other), FIELD(Op, target), FIELD(Op, height),
    FIELD(Op, width), FIELD(Op, stride), FIELD(Op, padding), FIELD(Op, groups),
    FIELD(Op, dilation), FIELD(Op, weight), FIELD(Op, bias), FIELD(Op, weight2), FIELD(Op, bias2),
    FIELD(Op, hidden), FIELD(Op, gamma), FIELD(Op, beta), FIELD(Op, running), FIELD(Op, before),
    FIELD(Op, after), FIELD(Op, slope), FIELD(Op, channel), FIELD(Op, top), FIELD(Op, left),
    FIELD(Op, border), FIELD(Op, drop), FIELD(Op, threshold), FIELD(Op, drop_index),
    FIELD(Op, tail), FIELD(Op, wanted), FIELD(Op, wanted_other), FIELD(Op, adds),
    FIELD(Op, adds_other), FIELD(Op, again), FIELD(Op, barrier),
    FIELD(Images, pixels), FIELD(Images, labels), FIELD(Images, count), FIELD(Images, channels),
    FIELD(Images, height), FIELD(Images, width), FIELD(Images, mean), FIELD(Images, deviation),
    FIELD(Augmentation, rotation), FIELD(Augmentation, shear), FIELD(Augmentation, scale),
    FIELD(Augmentation, shift), FIELD(Augmentation, brightness), FIELD(Augmentation, contrast),
    FIELD(Augmentation, erasing), FIELD(Augmentation, affine_stream),
    FIELD(Augmentation, brightness_stream), FIELD(Augmentation, contrast_stream),
    FIELD(Augmentation, erasing_stream),
    FIELD(Training, images), FIELD(Training, augmentation), FIELD(Training, parameters),
    FIELD(Training, gradients), FIELD(Training, running), FIELD(Training, average),
    FIELD(Training, average_running), FIELD(Training, first), FIELD(Training, second), FIELD(Training, decay),
    FIELD(Training, parameter_count), FIELD(Training, running_count), FIELD(Training, optimizer),
    FIELD(Training, steps), FIELD(Training, momentum), FIELD(Training, smoothing),
    FIELD(Step, images), FIELD(Step, rate), FIELD(Step, towards), FIELD(Step, dropout_stream),
    FIELD(Step, affine_stream), FIELD(Step, brightness_stream), FIELD(Step, contrast_stream),
    FIELD(Step, erasing_stream),
    CONSTANT(CONV), CONSTANT(POINTWISE), CONSTANT(MAX_POOL), CONSTANT(AVERAGE_POOL),
    CONSTANT(GLOBAL_POOL), CONSTANT(GATE), CONSTANT(SQUEEZE), CONSTANT(RESIZE), CONSTANT(ADD),
    CONSTANT(PRELU), CONSTANT(MEASURE), CONSTANT(GROUP_NORM), CONSTANT(CONCAT), CONSTANT(MOVE),
    CONSTANT(IDENTITY), CONSTANT(RELU), CONSTANT(GELU), CONSTANT(SILU), CONSTANT(HARDSWISH),
    CONSTANT(RELU6), CONSTANT(LEAKYRELU), CONSTANT(TANH), CONSTANT(SIGMOID), CONSTANT(HARDSIGMOID),
    CONSTANT(ZEROS), CONSTANT(REFLECT), CONSTANT(REPLICATE), CONSTANT(NO_DROP),
    CONSTANT(PER_ELEMENT), CONSTANT(PER_CHANNEL), CONSTANT(NO_GRADIENT), CONSTANT(OWN_BLOCK),
    CONSTANT(ABSENT), CONSTANT(SGD), CONSTANT(ADAM), CONSTANT(ADAMW), CONSTANT(DONE),
    CONSTANT(STOPPED), CONSTANT(NO_SUCH_IMAGE), CONSTANT(NO_SUCH_CLASS),
};

// clang-format on
#undef FIELD
#undef CONSTANT

constexpr size_t size_of_fields() {
    size_t size = 0;
    for (const Entry &entry : INTERFACE) size += entry.size;
    return size;
}
static_assert(size_of_fields() == sizeof(Value) + sizeof(Op) + sizeof(Images) +
                                      sizeof(Augmentation) + sizeof(Training) + sizeof(Step),
              "the table must have every field of the structs");

}  // namespace
