// The functions that Python calls (library.py). Nothing global is kept: a network's memory is made
// by `network_make`, its parameters belong to the caller.
#include <new>

#include "images.hpp"
#include "loss.hpp"
#include "network.hpp"
#include "optimizer.hpp"
#include "processor.hpp"

#if defined(_WIN32)
#define PUBLIC extern "C" __declspec(dllexport)
#else
#define PUBLIC extern "C" __attribute__((visibility("default")))
#endif

#ifndef LIGHTSEARCH_SOURCES  // a number that tells versions of these files apart
#define LIGHTSEARCH_SOURCES 0
#endif

// What the caller's structs and a parameter must measure, in bytes, and the version of the files.
PUBLIC int64_t layout_of(int64_t which) {
    const int64_t sizes[] = {sizeof(Value), sizeof(Op), sizeof(Images), sizeof(Augmentation),
                             sizeof(real), LIGHTSEARCH_SOURCES};
    return which >= 0 && which < 6 ? sizes[which] : -1;
}

PUBLIC int64_t build_for_processor() { return best_build(); }

// Nothing where there is not enough memory.
PUBLIC Net *network_make(const Value *values, int64_t value_count, const Op *ops, int64_t op_count,
                         int64_t batch, int64_t input, int64_t scores) {
    try {
        return new Net(values, value_count, ops, op_count, batch, input, scores);
    } catch (const std::bad_alloc &) {
        return nullptr;
    }
}

PUBLIC void network_free(Net *net) { delete net; }

// The mean loss's gradient on a batch, in training mode: `gradients` is filled, `running` moved.
PUBLIC void network_gradient(Net *net, const Images *images, const Augmentation *augmentation,
                             const int64_t *indices, int64_t count, uint64_t dropout_stream,
                             const real *parameters, int64_t parameter_count, real *gradients,
                             real *running, double smoothing, double *loss, int64_t *correct) {
    net->parameters = parameters, net->gradients = gradients, net->running = running;
    net->dropout_stream = dropout_stream, net->images = count, net->training = true;
    std::fill(gradients, gradients + parameter_count, (real)0);
    Augmenter augmenter(*images, augmentation, count);
    for (int64_t block = 0; block < net->blocks_now(); block++)
        fill_block(net->act(net->input, block), *images, augmenter, indices, block * LANES,
                   net->lanes_in(block));
    net->forward();
    Judged all;
    for (int64_t block = 0; block < net->blocks_now(); block++) {
        int64_t labels[LANES], used = net->lanes_in(block);
        for (int64_t i = 0; i < used; i++) labels[i] = images->labels[indices[block * LANES + i]];
        Judged judged = cross_entropy(net->act(net->scores, block), net->grad(net->scores, block),
                                      labels, used, count, smoothing);
        all.loss += judged.loss, all.correct += judged.correct;
    }
    net->backward();
    *loss = all.loss, *correct = all.correct;
}

// How many of the first `count` images are right, with running statistics.
PUBLIC int64_t network_evaluate(Net *net, const Images *images, int64_t count,
                                const real *parameters, real *running) {
    net->parameters = parameters, net->running = running;
    prepare_inference(*net);
    Augmenter plain(*images, nullptr, count);
    int64_t correct = 0;
    for (int64_t first = 0; first < count; first += LANES) {
        int64_t indices[LANES], used = std::min<int64_t>(LANES, count - first);
        for (int64_t i = 0; i < used; i++) indices[i] = first + i;
        fill_block(net->act(net->input, 0), *images, plain, indices, 0, used);
        net->images = used;
        net->infer();
        for (int64_t i = 0; i < used; i++)
            correct += best_class(net->act(net->scores, 0), (int)i) == images->labels[first + i];
    }
    return correct;
}

PUBLIC void optimize_sgd(real *p, const real *g, real *m, int64_t count, double rate,
                         double momentum, double decay, int64_t first) {
    sgd(p, g, m, count, rate, momentum, decay, first);
}

PUBLIC void optimize_adam(real *p, const real *g, real *m, real *v, int64_t count, double rate,
                          double decay, int64_t decoupled, int64_t step) {
    adam(p, g, m, v, count, rate, decay, decoupled, step);
}

PUBLIC void average_follow(real *average, const real *value, int64_t count, double weight) {
    follow(average, value, count, weight);
}

#ifdef LIGHTSEARCH_PROFILE
// Seconds so far of each op: forward, made again, backward.
PUBLIC void network_profile(const Net *net, double *seconds) {
    for (const auto &op : net->profile)
        for (double direction : op) *seconds++ = direction;
}

PUBLIC double processor_peak() { return peak_multiply_adds(); }
#endif
