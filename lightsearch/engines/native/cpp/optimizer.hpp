// SGD with Nesterov momentum, Adam and AdamW, all as in torch.optim, and the moving average.
#pragma once
#include <cmath>

#include "lanes.hpp"

namespace {

// `decay` has the weight decay of each parameter.

// m = momentum * m + g (m = g in the first step); p -= rate * (g + momentum * m)
inline void sgd(real *p, const real *g, real *m, const real *decay, int64_t count, double rate,
                double momentum, bool first) {
    for (int64_t i = 0; i < count; i++) {
        real d = g[i] + decay[i] * p[i];
        if (momentum != 0) {
            m[i] = first ? d : (real)momentum * m[i] + d;
            d += (real)momentum * m[i];
        }
        p[i] -= (real)rate * d;
    }
}

// p -= rate * (m / (1 - b1^step)) / (sqrt(v / (1 - b2^step)) + 1e-8). Steps count from 1. Adam
// adds the decay to the gradient; AdamW (`decoupled`) shrinks the weights.
inline void adam(real *p, const real *g, real *m, real *v, const real *decay, int64_t count,
                 double rate, bool decoupled, int64_t step) {
    const double b1 = 0.9, b2 = 0.999;
    const real size = (real)(rate / (1 - std::pow(b1, step)));
    const real root = (real)std::sqrt(1 - std::pow(b2, step));
    for (int64_t i = 0; i < count; i++) {
        real d = g[i];
        if (decoupled)
            p[i] -= (real)rate * decay[i] * p[i];
        else
            d += decay[i] * p[i];
        m[i] += (real)(1 - b1) * (d - m[i]);
        v[i] = (real)b2 * v[i] + (real)(1 - b2) * d * d;
        p[i] -= size * m[i] / (std::sqrt(v[i]) / root + (real)1e-8);
    }
}

inline void follow(real *average, const real *value, int64_t count, double weight) {
    for (int64_t i = 0; i < count; i++) average[i] += (real)weight * (value[i] - average[i]);
}

}  // namespace
