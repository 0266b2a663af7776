static void leakyrelu(int values, const float *in, float *out, float slope)
{
    for (int i = 0; i < values; i++)
        out[i] = in[i] > 0.0f ? in[i] : slope * in[i];
}

/* A leaky ReLU with a slope a channel. */
static void prelu(int channels, int pixels, const float *in, float *out, const float *slopes)
{
    for (int c = 0; c < channels; c++)
        for (int p = 0; p < pixels; p++, in++)
            *out++ = *in > 0.0f ? *in : slopes[c] * *in;
}

/* Each group of channels less its mean, over its deviation; then a gain and a shift a channel. */
static void normalise(int channels, int pixels, int groups, const float *in, float *out,
                      const float *gains, const float *shifts)
{
    const int values = channels / groups * pixels;
    for (int first = 0; first < channels; first += channels / groups, in += values) {
        float mean = 0.0f, variance = 0.0f, factor;
        for (int i = 0; i < values; i++)
            mean += in[i];
        mean /= (float)values;
        for (int i = 0; i < values; i++)
            variance += (in[i] - mean) * (in[i] - mean);
        factor = 1.0f / sqrtf(variance / (float)values + 1e-5f);
        for (int i = 0; i < values; i++) {
            const int c = first + i / pixels;
            *out++ = (in[i] - mean) * factor * (gains ? gains[c] : 1.0f)
                + (shifts ? shifts[c] : 0.0f);
        }
    }
}

/* The channels of two images. */
static void join(int values, int others, const float *first, const float *second, float *out)
{
    for (int i = 0; i < values; i++)
        *out++ = first[i];
    for (int i = 0; i < others; i++)
        *out++ = second[i];
}
