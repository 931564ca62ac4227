// What a device engine runs: a flat list of steps over buffers, as plain structs.
//
// Python lowers a network to this form (python/facegen/nn/program.py mirrors it field by field and
// explains each); both engines read it and nothing else. Every tensor is NHWC; inputs and outputs are
// float32, and so is all between them on the CPU.
// All sizes and offsets count floats of ONE image; an input or output of a batch is its images one
// after another, so image n of a view starts at  buffer + n * buffer_floats[view.buffer] +
// view.offset. How the arenas of several images lie is the engine's choice.
#pragma once

#include <cstdint>

namespace facegen {

// A (h, w, c) window of a buffer: pixel (y, x) starts at offset + (y * w + x) * pixel_stride.
struct View {
  int32_t buffer = -1;  // -1: no such operand
  int32_t h = 0, w = 0, c = 0;
  int64_t pixel_stride = 0;  // floats from a pixel to the next; > c inside a concatenation
  int64_t offset = 0;
};

// One axis of an indirect GEMM. Output o (0 <= o < out) reads, for each tap t (0 <= t < taps),
// input position  o * step + t * dir + base  (a position outside the input reads zeros) with
// weight tap  first_tap + t * tap_step,  and lands at output position  out_origin + o * out_step.
struct Axis {
  int32_t out, step, dir, base, taps;
  int32_t first_tap, tap_step;
  int32_t out_origin, out_step;
};

// A convolution has one phase; a transposed convolution of stride s has up to s * s, each an
// ordinary convolution that writes every s-th output pixel.
struct Phase {
  Axis y, x;
};

// What becomes of x, with two numbers alpha and beta. NaN stays NaN. The first four are in every
// kernel (see is_common).
enum class Activation : int32_t {
  kNone,
  kRelu,         // max(x, 0)
  kLeakyRelu,    // x < 0 ? alpha x : x
  kTanh,
  kPrelu,        // x < 0 ? slopes[c] x : x
  kClip,         // min(max(x, alpha), beta)
  kElu,          // beta (x < 0 ? alpha (exp(x) - 1) : x): also SELU
  kSigmoid,      // 1 / (1 + exp(-x))
  kHardSigmoid,  // min(max(alpha x + beta, 0), 1)
  kHardSwish,    // x min(max(alpha x + beta, 0), 1)
  kSilu,         // x / (1 + exp(-alpha x))
  kGelu,         // x / 2 (1 + erf(x / sqrt(2)))
  kGeluTanh,     // x / 2 (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3)))
  kMish,         // x tanh(log(1 + exp(x)))
  kSoftplus,     // log(1 + exp(x))
  kExp,
  kLog,
  kAbs,
  kSqrt,
  kReciprocal,
  kSign,         // x < 0 ? -1 : 1
};

// How an epilogue takes its other operand.
enum class Combine : int32_t { kAdd, kMultiply, kMaximum, kMinimum };

// y = scale[c] * activation(x) + shift[c],  x = sum + bias[c]; null pointers skip their term. The
// other operand, if there is one, is combined with x or, after_activation, with activation(x).
struct Epilogue {
  Activation activation = Activation::kNone;
  float alpha = 0.0f, beta = 0.0f;
  const float* slopes = nullptr;  // kPrelu: (c)
  const float* scale = nullptr;   // (c)
  const float* shift = nullptr;   // (c)
  // As the output; or of one pixel, for all of a map, or of one channel, for all of a pixel. A GEMM's
  // is as its output.
  View other;
  Combine combine = Combine::kAdd;
  bool after_activation = false;
};

// Whether an epilogue leaves its input as it is.
inline bool is_identity(const Epilogue& e) {
  return e.activation == Activation::kNone && e.scale == nullptr && e.shift == nullptr &&
         e.other.buffer < 0;
}

// Whether the other operand is one pixel for all, or one channel, of a map of more.
inline bool is_spread(const View& other, const View& map) {
  return other.buffer >= 0 && (other.h != map.h || other.w != map.w || other.c != map.c);
}

// Whether all kernels can do it: one of the first activations, and nothing but an addition before it.
inline bool is_common(const Epilogue& e, const View& map) {
  return e.activation <= Activation::kTanh &&
         (e.other.buffer < 0 || (e.combine == Combine::kAdd && !e.after_activation &&
                                 !is_spread(e.other, map)));
}

// By which a GEMM is computed: python/facegen/kernels/algorithms.py says what each is.
enum class Algorithm : int32_t {
  kAuto,    // whichever is fastest, by the layer alone
  kDirect,  // whichever is fastest of those that multiply as the definition does
  kNaive,
  kIm2col,
  kWinograd,
  kFft,
  kStrassen,
};

enum class Op : int32_t {
  kGemm,           // conv2d, conv_transpose2d, linear
  kMaxPool,        // window and stride from `window`
  kInstanceNorm,   // weight = gamma (c), bias = beta (c), statistics over h, w of an image's groups
  kSoftmax,        // over c, or its logarithm
  kResample,       // weighted sums of rows and of columns: interpolation, means, borders, slices
  kPointwise,      // epilogue applied to the input: affine, activation, sum, copy into a concat
  kFill,           // epilogue applied to bias, the same for every pixel: reads no input
  kArgMax,         // over c: the lowest index of the largest, as a float; NaN counts as largest
  kGlobalAvgPool,  // over h, w
  kLayerNorm,      // over the channels of each pixel: weight = gamma (c), bias = beta (c)
  kLrn,            // over neighbouring channels: see lrn
  kShuffle,        // channel i * groups + g of the output is g * (c / groups) + i of the input
  kRearrange,      // channels to the pixels of blocks where the output is larger, else the reverse
  kDepthwise,      // convolution of each channel by itself: weight (kernel_h, kernel_w, c), bias
};

// Output o of an axis reads  o * stride - pad + k * dilation  for 0 <= k < kernel.
struct Window {
  int32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
  int32_t dilation_h = 1, dilation_w = 1;
};

// What the outputs of one axis are made of: output o is the sum over 0 <= t < taps of
// weights[o * taps + t]  times the input at  positions[o * taps + t];  position -1 is nothing.
struct AxisTaps {
  int32_t taps = 0;
  const int32_t* positions = nullptr;
  const float* weights = nullptr;
};

// Local response normalisation: x / (k + alpha / size * the sum of x^2 over the channels from
// (size - 1) / 2 before to size / 2 behind) ^ beta.
struct Lrn {
  int32_t size;
  float alpha, beta, k;
};

struct Step {
  Op op;
  View in, out;
  Epilogue epilogue;
  // kGemm
  const Phase* phases = nullptr;
  int32_t phase_count = 0;
  int32_t kernel_h = 0, kernel_w = 0;
  const float* weight = nullptr;  // kGemm: (map_of(step).c, kernel_h, kernel_w, in.c)
  const float* bias = nullptr;    // (map_of(step).c) or null
  Algorithm algorithm = Algorithm::kAuto;  // kGemm
  bool binary = false;  // kGemm: the weights and the input are +1 and -1 alone
  // kMaxPool, without dilation; kDepthwise
  Window window = {};
  // kResample
  AxisTaps rows, columns;
  // kInstanceNorm: of channels whose statistics are their own, c groups; kShuffle
  int32_t groups = 0;
  // kInstanceNorm, kLayerNorm
  float eps = 0.0f;
  // kSoftmax
  bool log = false;
  // kLrn
  Lrn lrn = {};
  // kRearrange: pixel (i, j) of a block has channel c as number (i * block + j) * channels + c of the one
  // pixel (depth_first), or as c * block^2 + i * block + j
  int32_t block = 0;
  bool depth_first = false;

  // What is done besides, in the same kernel, where python/facegen/nn/fit has merged steps. The step is
  // refused by a device that has no kernel for all of it.

  // kGemm: the step that reads the map that this one makes. The map lies nowhere (finish->in names no
  // buffer), and out is that step's.
  const Step* finish = nullptr;
  bool softmax_input = false;   // kGemm: multiplies the softmax of its input over the channels
  int32_t centre_channels = 0;  // kGemm: the first so many that it makes have the centre tap alone
  // A second place for the output, or for max(output, 0).
  View copy;
  bool copy_relu = false;
  // kGemm: may leave its sums in slices; kInstanceNorm right behind it: adds such slices up.
  bool slices = false;
};

// What the phases of a GEMM make.
inline const View& map_of(const Step& step) {
  return step.finish != nullptr ? step.finish->in : step.out;
}

enum class BufferKind : int32_t { kInput, kOutput, kArena };

// The number formats of a buffer in the arena. Offsets and strides always count elements, so that a
// View means the same in every format.
enum class Format : int32_t {
  kFloat32,
  kSplit,  // two planes of bfloat16: all hi = bf16(x), then all lo = bf16(x - hi)
  kHalf,   // float16
};

struct Buffer {
  BufferKind kind;
  int32_t index;         // which input or output
  int64_t floats;        // of one image
  int64_t arena_offset;  // kArena: floats from the arena's start, of one image
  Format format = Format::kFloat32;
};

struct Program {
  const Step* steps;
  int32_t step_count;
  const Buffer* buffers;
  int32_t buffer_count;
  int64_t arena_floats;  // of one image
  int32_t constant_steps = 0;  // the first so many make the same of every image
};

}  // namespace facegen
