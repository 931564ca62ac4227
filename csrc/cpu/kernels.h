// What one instruction set offers: the hot loops, behind plain function pointers.
//
// Everything under csrc/cpu/isa/ is compiled once per instruction set and reached only through
// these tables; the rest of the engine is compiled for the baseline and never needs to know.
#pragma once

#include <cstdint>

#include "cpu/binary_kernels.h"
#include "program.h"

namespace facegen::cpu {

// Deepest stretch of the reduction that one panel of floats covers. A tile's partial sums stay in
// registers for that long; then they are added to the C block in memory. 256 keeps a 14-row panel
// (14 KiB) and the weight panels it meets (2 x 16 KiB) inside a 48 KiB L1 cache, and makes the
// addition to C cost under 2% of the multiplications. (Kernels::most_depth is each kernel's own.)
constexpr int kMaxDepth = 256;

// What the GEMM's products are products of.
enum class Products {
  kFloat32,
  kFixedPoint,  // 24-bit numbers, scaled by row, column and channel; to the accuracy of float32
  kBfloat16,    // numbers rounded to 8 significant bits
};

// One stretch of the reduction: some taps, each with the same run of channels.
struct Stretch {
  int taps;
  int channels;
  int depth() const { return taps * channels; }
};

// Where the weights of a stretch come from: element (column, tap, channel) is
// weight[column * column_stride + tap_offset[tap] + channel * channel_stride]. One of the strides is 1.
struct WeightSource {
  const float* weight;
  int64_t column_stride;
  const int64_t* tap_offset;
  int columns;
  int64_t channel_stride = 1;
  const float* channel_scale = nullptr;  // (depth), by which gather multiplies; null: 1
};

// The epilogue of one row of outputs; see Epilogue for the formula. Null pointers are skipped.
struct EpilogueRow {
  const float* sum;
  const float* bias;   // of the first column
  const float* other;  // of the first column
  const Epilogue* epilogue;
  float* out;
  int columns;
  int first = 0;           // column's channel: what the epilogue has by channels begins there
  bool one_other = false;  // for all columns

  const float* scale() const { return from_first(epilogue->scale); }
  const float* shift() const { return from_first(epilogue->shift); }
  const float* from_first(const float* p) const { return p == nullptr ? nullptr : p + first; }
};

// Lanes of a weight panel whose columns follow one another in a row's outputs.
struct LaneRun {
  int lane, count;
  int64_t out, add;  // floats from the row's own `out` and `add` to the first of them
};

// Rows of A that lie in the input at equal distances, and all of the reduction; see direct_gemm.h.
struct DirectLine {
  const float* in;
  int64_t in_stride;  // floats from a row to the next
  int rows;
  int runs, run_floats;  // a row is so many runs of neighbouring floats ...
  int64_t run_stride;    // ... so far apart
  const float* weights;  // for the first of these runs
  int64_t panel_floats;  // from a weight panel to the next
  int panels;
  const int* first_run;      // (panels + 1): of each panel, in lane_runs
  const LaneRun* lane_runs;
  const float* bias;  // (panels * panel_columns) or null
  Activation activation;  // kNone, kRelu, kLeakyRelu or kClip
  float alpha, beta;
  float* out;
  int64_t out_stride;
  const float* add;  // or null
  int64_t add_stride;
};

// A few vectors of pixels of a layer with 1 to 4 output channels; see isa/thin_tile.h.
struct ThinTile {
  const float* const* pixels;  // (thin_vectors): first lane of each vector, channel 0, no tap offset
  int64_t channel_stride;      // floats from a channel to the next
  int channels;
  const int64_t* tap_offset;  // (taps): floats
  int taps;
  const float* weights;  // (channels, taps, columns)
  int columns;
  float* sums;      // (columns, thin_vectors * lanes)
  bool accumulate;  // add to the sums that are there
};

// C (rows, panels * panel_columns) += or = A (rows, depth) * B, for any number of rows.
struct RowsProduct {
  int rows, depth;
  const float* a;  // rows kMaxDepth floats apart
  const void* weights;
  int panels;
  float* c;
  int64_t c_stride;
  bool accumulate;
  const void* ahead;  // the weights that come next
};

// One row of points of a few tiles of Winograd's convolution, as panels of A; see winograd.h. Rows
// of a patch are combined, d = the sum of term_factor[t] * pixels[term_row[t]], then transformed
// along x.
struct WinogradInput {
  const float* const* pixels;  // (rows, kWinogradPoints, kWinogradPoints): channel 0
  int rows;
  int terms;
  int term_row[4];
  float term_factor[4];
  int points, used_points;  // along x; those of no use have weights of zero
  int first_channel, channels;
  float* const* panels;  // out: one a used point, rows kMaxDepth floats apart
};

// The weights of one row of points, for so many neighbours among the input or the output channels.
struct WinogradWeights {
  const float* const* taps;  // (taps_y, taps_x): the first of each tap's; null: zero
  int taps_y, taps_x;
  const double* along_y;                // (taps_y)
  const double (*along_x)[5];           // (points, taps_x)
  int points, count;
  float* out;
  int64_t point_stride;  // floats from a point's to the next
};

// One tile's products, transformed to the sums of its outputs.
struct WinogradOutput {
  const float* products;  // point (y, x) starts point_stride floats after the one before
  int64_t point_stride;
  int outputs;  // on an axis: 2 or 4
  int taps_y, taps_x;
  int columns;  // a multiple of the lanes
  float* sums;  // out: (outputs, outputs, columns)
};

// A tile of real numbers, size x size, some channels, transformed to its frequencies: see fft.h and, for
// their order, isa/fft_ops.h. `panels` has three places for each: re + im, re and im of a map, or, of
// weights, re, im - re and re + im.
struct FftForward {
  int size;                    // 16, 32 or 64
  const float* const* pixels;  // (size, size): channel 0; null: zero
  const bool* is_zero_pair;    // (size / 2): of two rows at a time, whether all pixels are null
  int first_channel, channels;
  bool weights;
  float* const* panels;  // out: (frequencies, 3)
  int64_t offset;        // floats from there to the first channel's
  float* work;           // (size * size * lanes)
};

// The products of a tile's frequencies, transformed back: its first rows and the first outputs of these.
struct FftInverse {
  int size;
  const float* products;  // (frequencies, 3), product_stride apart
  int64_t product_stride;
  int columns;  // a multiple of the lanes
  int rows, row_outputs;
  float* sums;  // out: (rows, row_outputs, columns)
  float* work;  // (size * size * lanes)
};

// Windows side by side, a row of outputs of a pool. Each holds at least one pixel of the input.
struct PoolLine {
  const float* const* rows;  // (row_count): pixel 0 of each row that the windows hold
  int row_count;
  int64_t pixel_stride;
  int width;  // pixels of the input's rows; what windows hold beyond them is left out
  int kernel, stride, pad_left;
  float* out;
  int64_t out_stride;
  int windows, channels;
};

// Neighbouring outputs of a depthwise convolution: sums over a few rows of taps, plus the bias, cut off
// at both ends.
struct DepthwiseLine {
  const float* const* rows;  // (row_count): pixel 0 of the rows of the input that the taps are in
  int row_count;
  const float* weights;  // (row_count, kernel, channels)
  int64_t pixel_stride;
  int width;  // pixels of the input's rows; what windows hold beyond them is left out
  int kernel, stride, dilation, pad_left;
  const float* bias;  // or null
  float low, high;
  float* out;
  int64_t out_stride;
  int outputs;
  int channels;
};

// A pixel's local response normalisation; see Lrn.
struct ResponseRow {
  const float* in;
  float* squares;     // (count + terms - 1): scratch, with zeros at both ends
  int before, terms;  // channels before a channel, and all that its sum has
  float alpha;        // divided by the size
  float beta, k;
  float* out;
  int count;
};

struct Kernels {
  const char* isa;
  // precision="strict" takes those of float32 (docs/accuracy.md).
  Products products;

  // ---- the indirect GEMM: C += A * B over one stretch
  int most_depth;     // of a stretch
  int tile_rows;      // most rows of A that one panel holds
  int panel_columns;  // columns of B that one weight panel holds
  int64_t (*row_panel_bytes)(int depth);
  int64_t (*weight_panel_bytes)(int depth);
  // Copies tile rows into a panel of A: row r, tap t comes from sources[t * source_stride + r].
  // With products of fixed-point numbers, times channel_scale (depth); else that is not read.
  void (*gather)(const float* const* sources, int64_t source_stride, int rows, Stretch stretch,
                 const float* channel_scale, void* panel);
  // Lays out ceil(columns / panel_columns) weight panels, missing columns as zeros.
  void (*pack)(const WeightSource& source, Stretch stretch, void* panels);
  // c[r][0 .. panels * panel_columns) += or = (accumulate or not) panel row r times the weights.
  void (*multiply)(int rows, int depth, const void* panel, const void* weights, int panels,
                   float* const* c, bool accumulate);

  // A thread calls these around every run of calls to multiply; they may be null.
  void (*begin_task)();
  void (*end_task)();

  // ---- the GEMM of rows that need no gathering, its weights as pack lays them out; with products of
  // float32 alone
  void (*direct_multiply)(const DirectLine& line);

  // ---- Winograd's convolution, with the GEMM's pack; with products of float32 alone
  void (*multiply_rows)(const RowsProduct& product);
  void (*winograd_input)(const WinogradInput& input);
  void (*winograd_output)(const WinogradOutput& output);
  void (*winograd_weights)(const WinogradWeights& weights);

  // ---- convolution by the FFT, with multiply_rows; with products of float32 alone
  void (*fft_forward)(const FftForward& tile);
  void (*fft_inverse)(const FftInverse& tile);

  // ---- layers with 1 to 4 output channels
  int thin_vectors;  // of one tile
  int lanes;         // pixels of one vector
  void (*thin_multiply)(const ThinTile& tile);
  // out[channel * out_stride + x] = in[x * in_stride + channel]
  void (*transpose)(const float* in, int64_t in_stride, int pixels, int channels, float* out,
                    int64_t out_stride);

  // ---- everything else, row by row
  void (*epilogue)(const EpilogueRow& row);
  void (*depthwise)(const DepthwiseLine& line);
  // of each window the largest, channel by channel
  void (*max_pool)(const PoolLine& line);
  // of each channel, sums of x - x0 and (x - x0)^2 over the pixels; x0 is the first pixel's
  void (*moments)(const float* in, int64_t pixel_stride, int64_t pixels, int channels, double* sum,
                  double* squares);
  // out = (in - centre) * scale
  void (*centre_and_scale)(const float* in, const float* centre, const float* scale, float* out,
                           int count);
  // out = the sum of weights[t] * from[t], from the last of the terms to the first
  void (*weighted_sum)(const float* const* from, const float* weights, int terms, float* out,
                       int count);
  // of a row, sums of x - x0 and (x - x0)^2; x0 is the first
  void (*row_moments)(const float* in, int count, double* sum, double* squares);
  // out = (in - centre) * scale * factors
  void (*centre_and_multiply)(const float* in, float centre, float scale, const float* factors,
                              float* out, int count);
  void (*response_norm)(const ResponseRow& row);
  // `log`: its logarithm
  void (*softmax)(const float* in, float* out, int count, bool log);

  // Some multiply-adds in registers, for the benchmark's ceiling; returns how many operations.
  double (*fma_burst)();

  // ---- binary layers; see binary_kernels in dispatch.h
  const BinaryKernels* binary;

  // AMX's: those of the vectors beside it, to which kernels_of leaves some layers; else null.
  const Kernels* (*vectors)();
};

// Each is there where CMakeLists.txt compiles it: neon on aarch64, the others on x86-64.
const Kernels* portable_kernels();
const Kernels* avx2_kernels();
const Kernels* avx512_kernels();
const Kernels* amx_kernels();
const Kernels* amx_bfloat16_kernels();  // for precision="bfloat16"; the same object file
const Kernels* neon_kernels();

}  // namespace facegen::cpu
