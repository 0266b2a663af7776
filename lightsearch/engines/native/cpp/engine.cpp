// The functions that Python calls (library.py). There is no global state: `network_make` makes a
// network's memory, and its parameters belong to the caller.
#include <algorithm>
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

#ifndef LIGHTSEARCH_SOURCES  // the version of these files, a hash from setup.py
#define LIGHTSEARCH_SOURCES 0
#endif

// Returns the table of interface.hpp.
PUBLIC const Entry *interface_table(int64_t *length) {
    *length = sizeof INTERFACE / sizeof INTERFACE[0];
    return INTERFACE;
}

PUBLIC int64_t source_version() { return LIGHTSEARCH_SOURCES; }

// Returns the size of a parameter in bytes.
PUBLIC int64_t real_size() { return sizeof(real); }

PUBLIC int64_t build_for_processor() { return best_build(); }

// Returns null if there is not enough memory.
PUBLIC Net *network_make(const Value *values, int64_t value_count, const Op *ops, int64_t op_count,
                         int64_t batch, int64_t input, int64_t scores) {
    try {
        return new Net(values, value_count, ops, op_count, batch, input, scores);
    } catch (const std::bad_alloc &) {
        return nullptr;
    }
}

PUBLIC void network_free(Net *net) { delete net; }

// From now on, a call on this network ends early with STOPPED once `*stop` is not zero.
PUBLIC void network_watch(Net *net, const int64_t *stop) { net->stop = stop; }

// Computes the gradient of a batch's mean loss in training mode, and moves the running statistics.
PUBLIC int64_t network_gradient(Net *net, const Images *images, const Augmentation *augmentation,
                                const int64_t *indices, int64_t count, uint64_t dropout_stream,
                                const real *parameters, int64_t parameter_count, real *gradients,
                                real *running, double smoothing, double *loss, int64_t *correct) {
    for (int64_t i = 0; i < count; i++) {
        if (indices[i] < 0 || indices[i] >= images->count) return NO_SUCH_IMAGE;
        const int64_t label = images->labels[indices[i]];
        if (label < 0 || label >= net->values[net->scores].channels) return NO_SUCH_CLASS;
    }
    net->parameters = parameters, net->gradients = gradients, net->running = running;
    net->dropout_stream = dropout_stream, net->images = count, net->training = true;
    std::fill(gradients, gradients + parameter_count, (real)0);
    Augmenter augmenter(*images, augmentation, count);
    for (int64_t block = 0; block < net->blocks_now(); block++) {
        if (net->stopped()) return STOPPED;
        fill_block(net->act(net->input, block), *images, augmenter, indices, block * LANES,
                   net->lanes_in(block));
    }
    net->forward();
    if (net->stopped()) return STOPPED;
    Judged all;
    for (int64_t block = 0; block < net->blocks_now(); block++) {
        int64_t labels[LANES], used = net->lanes_in(block);
        for (int64_t i = 0; i < used; i++) labels[i] = images->labels[indices[block * LANES + i]];
        Judged judged = cross_entropy(net->act(net->scores, block), net->grad(net->scores, block),
                                      labels, used, count, smoothing);
        all.loss += judged.loss, all.correct += judged.correct;
    }
    net->backward();
    if (net->stopped()) return STOPPED;
    *loss = all.loss, *correct = all.correct;
    return DONE;
}

static void optimize(const Training &t, const Step &step, int64_t made) {
    if (t.optimizer == SGD)
        sgd(t.parameters, t.gradients, t.first, t.decay, t.parameter_count, step.rate, t.momentum,
            made == 0);
    else
        adam(t.parameters, t.gradients, t.first, t.second, t.decay, t.parameter_count, step.rate,
             t.optimizer == ADAMW, made + 1);
}

// Makes steps of an epoch, one after the other. Adds to `*loss` and `*correct`.
PUBLIC int64_t network_train(Net *net, const Training *training, const Step *steps, int64_t count,
                             const int64_t *indices, double *loss, int64_t *correct) {
    const Training &t = *training;
    for (int64_t i = 0; i < count; i++) {
        const Step &step = steps[i];
        Augmentation augmentation{};
        if (t.augmentation) {
            augmentation = *t.augmentation;
            augmentation.affine_stream = step.affine_stream;
            augmentation.brightness_stream = step.brightness_stream;
            augmentation.contrast_stream = step.contrast_stream;
            augmentation.erasing_stream = step.erasing_stream;
        }
        double one_loss = 0;
        int64_t one_correct = 0;
        const int64_t status =
            network_gradient(net, t.images, t.augmentation ? &augmentation : nullptr, indices,
                             step.images, step.dropout_stream, t.parameters, t.parameter_count,
                             t.gradients, t.running, t.smoothing, &one_loss, &one_correct);
        if (status != DONE) return status;
        *loss += one_loss, *correct += one_correct;
        optimize(t, step, t.steps + i);
        if (t.average) {
            follow(t.average, t.parameters, t.parameter_count, step.towards);
            follow(t.average_running, t.running, t.running_count, step.towards);
        }
        indices += step.images;
    }
    return DONE;
}

// Counts the correct images, with running statistics.
PUBLIC int64_t network_evaluate(Net *net, const Images *images, const real *parameters,
                                real *running, int64_t *right) {
    const int64_t count = images->count;
    net->parameters = parameters, net->running = running;
    prepare_inference(*net);
    Augmenter plain(*images, nullptr, count);
    int64_t correct = 0;
    for (int64_t first = 0; first < count; first += LANES) {
        if (net->stopped()) return STOPPED;
        int64_t indices[LANES], used = std::min<int64_t>(LANES, count - first);
        for (int64_t i = 0; i < used; i++) indices[i] = first + i;
        fill_block(net->act(net->input, 0), *images, plain, indices, 0, used);
        net->images = used;
        net->infer();
        for (int64_t i = 0; i < used; i++) {
            const int64_t label = images->labels[first + i];
            if (label < 0 || label >= net->values[net->scores].channels) return NO_SUCH_CLASS;
            correct += best_class(net->act(net->scores, 0), (int)i) == label;
        }
    }
    *right = correct;
    return DONE;
}

#ifdef LIGHTSEARCH_PROFILE
// Writes each op's seconds so far: forward, forward again, backward.
PUBLIC void network_profile(const Net *net, double *seconds) {
    for (const auto &op : net->profile)
        for (double direction : op) *seconds++ = direction;
}

PUBLIC double processor_peak() { return peak_multiply_adds(); }
#endif
