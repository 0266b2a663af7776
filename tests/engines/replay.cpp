// One call of `network_train` and one of `network_evaluate`, of what a file says, for a processor
// that cannot run Python here. test_other_processors.py writes the file and reads the answer.
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "engine.cpp"

static FILE *open(const char *path, const char *mode) {
    FILE *file = fopen(path, mode);
    if (!file) perror(path), exit(2);
    return file;
}

template <class T> std::vector<T> read(FILE *file) {
    int64_t count = 0;
    if (fread(&count, sizeof count, 1, file) != 1) abort();
    std::vector<T> found(count);
    if ((int64_t)fread(found.data(), sizeof(T), count, file) != count) abort();
    return found;
}

template <class T> T *pointer(std::vector<T> &values) {
    return values.empty() ? nullptr : values.data();
}

template <class T> void write(FILE *file, const std::vector<T> &values) {
    if (fwrite(values.data(), sizeof(T), values.size(), file) != values.size()) abort();
}

int main(int, char **arguments) {
    FILE *in = open(arguments[1], "rb");
    auto values = read<Value>(in);
    auto ops = read<Op>(in);
    auto places = read<int64_t>(in);  // batch, input, scores
    auto images = read<Images>(in);
    auto pixels = read<uint8_t>(in);
    auto labels = read<int64_t>(in);
    auto mean = read<double>(in), deviation = read<double>(in);
    auto augmentation = read<Augmentation>(in);
    auto training = read<Training>(in);
    auto parameters = read<real>(in), running = read<real>(in);
    auto first = read<real>(in), second = read<real>(in), decay = read<real>(in);
    auto steps = read<Step>(in);
    auto indices = read<int64_t>(in);
    fclose(in);

    images[0].pixels = pixels.data(), images[0].labels = labels.data();
    images[0].mean = mean.data(), images[0].deviation = deviation.data();
    std::vector<real> gradients(parameters.size());
    Training &t = training[0];
    t.images = images.data(), t.augmentation = pointer(augmentation);
    t.parameters = parameters.data(), t.gradients = gradients.data(), t.running = running.data();
    t.average = t.average_running = nullptr;
    t.first = pointer(first), t.second = pointer(second), t.decay = decay.data();

    Net *net = network_make(values.data(), values.size(), ops.data(), ops.size(), places[0],
                            places[1], places[2]);
    if (!net) abort();
    const int64_t go_on = 0;
    network_watch(net, &go_on);
    double loss = 0;
    int64_t correct = 0, right = 0;
    const int64_t trained =
        network_train(net, &t, steps.data(), steps.size(), indices.data(), &loss, &correct);
    const int64_t tested =
        network_evaluate(net, images.data(), parameters.data(), running.data(), &right);
    network_free(net);
    if (trained != DONE || tested != DONE) abort();

    FILE *out = open(arguments[2], "wb");
    write(out, std::vector<double>{loss, (double)correct, (double)right});
    write(out, parameters), write(out, running), write(out, gradients);
    return fclose(out);
}
