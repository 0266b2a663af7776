// Measures the seconds that each op takes in each direction, if LIGHTSEARCH_PROFILE is defined
// (benchmarks/engines/kernels.py).
#pragma once
#ifdef LIGHTSEARCH_PROFILE
#include <array>
#include <chrono>
#include <vector>

#include "lanes.hpp"

namespace {

enum Direction { FORWARD, AGAIN, BACKWARD };
typedef std::vector<std::array<double, 3>> Profile;

class Timed {
  public:
    Timed(Profile &profile, size_t op, Direction direction)
        : total_(profile[op][direction]), begin_(std::chrono::steady_clock::now()) {}
    ~Timed() {
        total_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
    }

  private:
    double &total_;
    std::chrono::steady_clock::time_point begin_;
};

// Multiply-adds per second of this core on registers alone.
inline double peak_multiply_adds() {
    Reg sums[12], x = spread((real)1.0000001), y = spread((real)0.9999999);
    UNROLL_FOR (int i = 0; i < 12; i++) sums[i] = spread((real)i);
    const long rounds = 20'000'000;
    const auto begin = std::chrono::steady_clock::now();
    for (long r = 0; r < rounds; r++) {
        UNROLL_FOR (int i = 0; i < 12; i++) sums[i] = fma(sums[i], x, y);
#ifdef __AVX__
        asm volatile("" : "+x"(x), "+x"(y));
#else
        asm volatile("" : "+m"(x), "+m"(y));
#endif
    }
    const auto end = std::chrono::steady_clock::now();
    volatile real kept = 0;
    for (int i = 0; i < 12; i++) kept = kept + sum(sums[i]);
    return rounds * 12.0 * WIDTH / std::chrono::duration<double>(end - begin).count();
}

}  // namespace

#define PROFILED(net, op, direction) Timed timed_((net).profile, op, direction)
#else
#define PROFILED(net, op, direction)
#endif
