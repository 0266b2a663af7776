// The package's random generator: SplitMix64 of a counter, as in randomness.py.
#pragma once
#include <cstdint>

namespace {

constexpr uint64_t GOLDEN = 0x9E3779B97F4A7C15ull;

// Mixes the bits of a number, or of each number of a vector.
template <class Number> inline Number mix(Number v) {
    v = (v ^ (v >> 30)) * 0xBF58476D1CE4E5B9ull;
    v = (v ^ (v >> 27)) * 0x94D049BB133111EBull;
    return v ^ (v >> 31);
}
// Value i of a stream: 64 bits.
inline uint64_t bits(uint64_t stream, uint64_t i) { return mix(stream + (i + 1) * GOLDEN); }
// The key of a part of a stream.
inline uint64_t key(uint64_t stream, uint64_t part) {
    return mix((mix(stream) + GOLDEN) ^ mix(part));
}
// Value i as a float in [0, 1), on a grid of 2^-24.
inline float uniform(uint64_t stream, uint64_t i) {
    return (float)(bits(stream, i) >> 40) * 0x1p-24f;
}
// Decision i of a stream: 16 bits each, the lowest bits of a value first. Dropout drops what is
// below `threshold` - 32768, which is true of `threshold` in 65,536 decisions.
inline int16_t decision(uint64_t stream, uint64_t i) {
    return (int16_t)(bits(stream, i / 4) >> (i % 4 * 16));
}

}  // namespace
