// What one instruction set offers to training besides cpu/kernels.h: hot loops behind plain function
// pointers, compiled once per instruction set.
#pragma once

#include <cstdint>

#include "optimizer_numbers.h"
#include "philox.h"
#include "program.h"

namespace facegen::cpu {

// Pixels one after another, of both operands of a weight gradient.
struct PixelRun {
  const float* a;  // rows neighbouring floats of each pixel
  const float* b;  // columns of them
  int64_t a_stride, b_stride;
  int64_t count;
};

// C (rows, columns) += or = the sum over all pixels of a[row] * b[column]; see isa/outer_tile.h.
struct OuterProduct {
  const PixelRun* runs;
  int64_t run_count;
  int64_t a_offset, b_offset;  // floats from each run's own a and b
  int rows, columns;
  float* c;  // rows c_stride floats apart, each with room for whole vectors
  int64_t c_stride;
  bool accumulate;
};

// g = dy * activation'(x), told from y = activation(x), or from x: see FROM_INPUT in grad/steps.
struct GradientRow {
  Activation activation;
  float alpha, beta;
};

// A pixel of a layer norm; see LayerNormGradient in grad/steps.
struct LayerNormGradientRow {
  const float* x;
  const float* dy;
  const float* gamma;
  float mean, inverse;
  int channels;
  float* dx;
  bool accumulate;
};

// Normalised pixels of some channels and their gradients; see BatchNormGradient in grad/steps.
struct NormGradientRow {
  GradientRow activation;
  const float* x;
  const float* y;
  const float* dy;
  const float* mean;     // (channels)
  const float* inverse;  // (channels): 1 / deviation
  int64_t pixels;
  int64_t stride;  // floats from a pixel to the next, of x, y, dy and dx
  int channels;
};

// Numbers near 1 come as what they lack of it, computed in double.
struct OptimizerRow : OptimizerConstants, OptimizerNumbers {
  float* parameter;
  const float* gradient;
  float* first;    // momentum, or the mean of gradients; null for SGD without momentum
  float* second;  // the mean of their squares
  int64_t count;
  float gradient_scale;
};

// Of a parameter that is kept as bfloat16; see weight_rounding.h.
struct WeightRoundingRow {
  float* weights;
  int64_t first, count;  // place of the first among the parameter's, a multiple of kDrawBlock
  PhiloxKey key;
  uint64_t step;
  bool stochastic;  // else to the nearest
};

// average += rest (parameter - average)
struct AverageRow {
  const float* parameter;
  float* average;
  int64_t count;
  float rest;
};

struct DropoutRow {
  const float* x;
  float* y;
  int64_t first, count;  // place of the first number among the batch's
  uint64_t seed, step;
  uint32_t stream;
  uint32_t threshold;  // of 2^32: numbers whose draw is below it are left out
  float scale;
  bool accumulate;
};

// A picture resampled; see isa/warp.h.
constexpr int kMostWarpedSide = 1 << 20;
struct Warp {
  int height, width;          // of the picture
  int out_height, out_width;  // of the result
  int channels;               // 1 or 3
  const float* matrix;        // (3, 3)
  float lens;
  bool cubic;     // 4 x 4 pixels a point, not 2 x 2
  bool mirrored;  // what lies outside; else black
};

struct TrainingKernels {
  int outer_rows, lanes;  // of a tile; floats of a vector
  void (*outer_product)(const OuterProduct& product);
  // sum[c] += x[c] of each pixel, in double
  void (*channel_sums)(const float* x, int64_t pixels, int64_t stride, int channels, double* sum);
  // out (+)= dy * activation', told from v
  void (*activate_gradient)(GradientRow row, const float* v, const float* dy, float* out,
                            int64_t count, bool accumulate);
  // sum[c] += g, product[c] += g h
  void (*norm_sums)(const NormGradientRow& row, double* sum, double* product);
  // dx (+)= factor * g - sum_share - h * product_share, by channels
  void (*norm_gradient)(const NormGradientRow& row, const float* factor, const float* sum_share,
                        const float* product_share, float* dx, bool accumulate);
  // y = activation((x - mean) * scale + beta)
  void (*normalise)(GradientRow activation, const float* x, const float* mean, const float* scale,
                    const float* beta, int64_t pixels, int channels, float* y);
  void (*activate)(GradientRow activation, const float* x, float* y, int64_t count);
  // y (+)= scale * x + shift
  void (*scale_and_shift)(const float* x, float scale, float shift, float* y, int64_t count,
                          bool accumulate);
  // y += x
  void (*add)(const float* x, float* y, int64_t count);
  double (*sum_of_squares)(const float* x, int64_t count);
  void (*sgd)(const OptimizerRow& row);
  void (*adam)(const OptimizerRow& row);
  void (*round_weights)(const WeightRoundingRow& row);
  void (*move_average)(const AverageRow& row);
  void (*dropout)(const DropoutRow& row);
  // One row of windows of a pool: for each, dy goes to the first of its pixels that equals y.
  void (*max_pool_gradient)(const float* const* x_rows, float* const* dx_rows, int rows, int width,
                            int kernel, int stride, int pad_left, const float* y, const float* dy,
                            int windows, int channels);

  // ---- augmentation
  // Row y of the result, which begins at `out`.
  void (*warp_row)(const Warp& warp, const float* in, int y, float* out);
  // Adds what row y of the result gives back to the picture's gradient.
  void (*warp_row_adjoint)(const Warp& warp, const float* gradient, int y, float* in);
  // Sums of r, g and b over pixels.
  void (*colour_sums)(const float* pixels, int64_t count, double* sum);
  // out = matrix (3, 4) times (r, g, b, 1)
  void (*recolour)(const float* pixels, int64_t count, const float* matrix, float* out);

  // ---- products
  // x, or slopes[c] * x where it is negative
  void (*prelu)(const float* x, const float* slopes, int64_t pixels, int channels, float* y);
  void (*prelu_gradient)(const float* x, const float* dy, const float* slopes, int64_t pixels,
                         int channels, float* dx, bool accumulate);
  // out (+)= the sum of a[t] * b[t], channel by channel
  void (*sum_of_products)(const float* const* a, const float* const* b, int terms, float* out,
                          int channels, bool accumulate);
  // sum[c] += a[c] * b[c] of each pixel, or of those alone where b[c] < 0
  void (*channel_products)(const float* a, int64_t a_stride, const float* b, int64_t b_stride,
                           int64_t pixels, int channels, bool where_negative, double* sum);
  // y (+)= a * b
  void (*multiply)(const float* a, const float* b, float* y, int64_t count, bool accumulate);
  double (*dot)(const float* a, const float* b, int64_t count);
  // Of a pixel; `log`: y is the softmax's logarithm.
  void (*softmax_gradient)(const float* y, const float* dy, float* dx, int channels, bool log,
                           bool accumulate);
  void (*layer_norm_gradient)(const LayerNormGradientRow& row);
  // sum[c] += dy, product[c] += dy h
  void (*layer_norm_sums)(const LayerNormGradientRow& row, double* sum, double* product);
};

struct Kernels;
// Those of the same instruction set; AMX has none of its own.
const TrainingKernels& training_kernels(const Kernels& kernels);

const TrainingKernels* portable_training_kernels();
const TrainingKernels* avx2_training_kernels();
const TrainingKernels* avx512_training_kernels();
const TrainingKernels* neon_training_kernels();

}  // namespace facegen::cpu
