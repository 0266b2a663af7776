/* How a window slides along one side of an image. */
typedef struct {
    int kernel, stride, padding, dilation;
} Slide;

/* How it slides over an image: from channels, rows and columns to others. */
typedef struct {
    int inputs, in_height, in_width;
    int outputs, height, width, groups;
    Slide down, across;
} Window;
