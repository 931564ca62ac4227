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

enum class Activation : int32_t { kNone, kRelu, kLeakyRelu, kTanh };

// y = scale[c] * activation(sum + bias[c] + add) + shift[c]; null pointers and absent views skip
// their term.
struct Epilogue {
  Activation activation = Activation::kNone;
  float slope = 0.0f;            // of leaky ReLU
  const float* scale = nullptr;  // (c)
  const float* shift = nullptr;  // (c)
  View add;                      // same h, w, c as the output
};

// Whether an epilogue leaves its input as it is.
inline bool is_identity(const Epilogue& e) {
  return e.activation == Activation::kNone && e.scale == nullptr && e.shift == nullptr &&
         e.add.buffer < 0;
}

enum class Op : int32_t {
  kGemm,           // conv2d, conv_transpose2d, linear
  kMaxPool,        // window and stride from pool
  kInstanceNorm,   // weight = gamma (c), bias = beta (c), statistics over h, w of each image
  kSoftmax,        // over c
  kUpsample,       // bilinear to the output's size, half-pixel centres, edge clamp
  kPointwise,      // epilogue applied to the input: affine, activation, add, copy into a concat
  kFill,           // epilogue applied to bias, the same for every pixel: reads no input
  kArgMax,         // over c: the lowest index of the largest, as a float; NaN counts as largest
  kGlobalAvgPool,  // over h, w
};

struct Pool {
  int32_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left;
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
  bool direct_only = false;       // kGemm: no algorithm of lower complexity
  // kMaxPool
  Pool pool = {};
  // kInstanceNorm
  float eps = 0.0f;

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
