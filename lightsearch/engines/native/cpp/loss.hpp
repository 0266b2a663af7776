// Cross-entropy with label smoothing, its gradient, and the number of correct images.
//
//     loss = -(1 - e) log p[label] - e / C * sum over classes of log p,   p = softmax(scores)
//     d loss / d score[k] = (p[k] - (1 - e) [k = label] - e / C) / images
#pragma once
#include <cmath>
#include <vector>

#include "net.hpp"

namespace {

struct Judged {
    double loss = 0;  // sum over the images
    int64_t correct = 0;
};

// The class with the highest score, the first if several are equal. NaN is above any number.
inline int best_class(View scores, int image) {
    int best = 0;
    for (int k = 1; k < scores.channels; k++) {
        const real here = lane(*scores.line(k, 0), image);
        const real so_far = lane(*scores.line(best, 0), image);
        if (here > so_far || (std::isnan(here) && !std::isnan(so_far))) best = k;
    }
    return best;
}

inline Judged cross_entropy(View scores, View gradient, const int64_t *labels, int64_t used,
                            int64_t images, double smoothing) {
    Judged judged;
    const int classes = scores.channels;
    std::vector<double> p(classes);
    for (int k = 0; k < classes; k++) *gradient.line(k, 0) = lanes(0);
    for (int i = 0; i < used; i++) {
        const int best = best_class(scores, i);
        const double highest = lane(*scores.line(best, 0), i);
        double total = 0, all = 0;
        for (int k = 0; k < classes; k++)
            total += p[k] = std::exp(lane(*scores.line(k, 0), i) - highest);
        const double log_total = std::log(total);
        for (int k = 0; k < classes; k++) {
            const double log_p = lane(*scores.line(k, 0), i) - highest - log_total;
            const double wanted = smoothing / classes + (k == labels[i] ? 1 - smoothing : 0);
            all -= wanted * log_p;
            lane(*gradient.line(k, 0), i) = (real)((p[k] / total - wanted) / images);
        }
        judged.loss += all;
        judged.correct += best == labels[i];
    }
    return judged;
}

}  // namespace
