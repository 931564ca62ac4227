// A first convolution (3 channels, stride 2, up to 8 x 8 taps, up to 96 channels out) and the 3x3
// max-pool of stride 2 behind it, on Hopper. What the convolution makes is four times the pool's
// output and never leaves the registers.
//
// A block walks down an image, one row of the pool a step: three rows of the convolution, of which
// the first is the last of the step before. The rows of the input that they read lie in a ring in
// shared memory (fragments.cuh): a tap is a row of the kernel, up to 8 pixels of 3 channels,
// and a unit is two pixels, which is how far neighbouring outputs are apart.
//
//   warp w       pixels 14 w to 14 w + 15 of a row of the convolution, pixels 7 w to 7 w + 6 of the
//                pool's; lane 4 g + q has pixels 14 w + 2 g and its right neighbour
//   along a row  the larger of the two, and of the next lane's first
//   down         the larger of three rows, in 24 registers
//
// Where a window reaches over the map's edge (a padded pool), what is not there counts as minus
// infinity. Bias and activation (none or ReLU) change no order, so they come after the pool. Two blocks share
// a multiprocessor: one loads, or takes maxima, while the other multiplies.
#include <algorithm>

#include "cuda/fit/divide.h"
#include "cuda/fit/pooled.h"
#include "cuda/layer.h"
#include "cuda/generic/element.cuh"
#include "cuda/hopper/parts/fragments.cuh"
#include "cuda/hopper/parts/launch.h"
#include "cuda/hopper/parts/pool_rows.cuh"

namespace facegen::cuda::hopper {
namespace {

constexpr int kColumns = kStemColumns;
constexpr int kThreads = kStemThreads;
constexpr int kRing = 16;  // rows: what a step reads, and the 4 that the next one adds
constexpr int kLoads = 6;    // of pairs of elements that a thread has under way
// Units that the last lanes read of a row, for pixels that need not exist.
constexpr int kReadUnits = kThreads / 32 * 2 * kWarpPooled + 6;

struct StemArguments {
  Operand in, out;
  DeviceEpilogue epilogue;
  const uint8_t* weights;  // as pack_taps makes them
  int32_t images, taps, top, left;  // of the input's row and pixel that the first tap reads
  // Rows and pixels of the convolution that exist, counted from the first that a window may hold.
  int32_t first_row, end_row, first_pixel, end_pixel;
  int32_t row_units, weight_bytes;
  uint32_t reciprocal;  // of a row's pairs of elements
};

struct Ring {
  char* rows;
  int row_bytes;
  __device__ char* row(int number) const { return rows + number % kRing * row_bytes; }
};

// Rows `first` to `end` of what the steps of an image read; zeros outside the input.
template <bool kHalf>
__device__ void load_rows(const StemArguments& args, const Ring& ring, int image, int first, int end) {
  const int elements = args.in.w * args.in.c, row_pairs = args.row_units * kUnitElements / 2;
  const auto* start = reinterpret_cast<const float*>(args.in.data) + image * args.in.image_stride;
  const int pairs = (end - first) * row_pairs;
  for (int at = static_cast<int>(threadIdx.x); at < pairs; at += kLoads * kThreads) {
    float x[kLoads], next[kLoads];  // all on their way before the first is used
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const int r = divide(at + i * kThreads, args.reciprocal), y = args.top + first + r;
      const int e = args.left * args.in.c + 2 * (at + i * kThreads - r * row_pairs);
      const bool exists = y >= 0 && y < args.in.h && at + i * kThreads < pairs;
      const float* from = start + y * elements + e;
      x[i] = exists && e >= 0 && e < elements ? *from : 0.0f;
      next[i] = exists && e >= -1 && e + 1 < elements ? from[1] : 0.0f;
    }
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const int r = divide(at + i * kThreads, args.reciprocal);
      if (at + i * kThreads >= pairs) continue;
      store_pair<kHalf>(ring.row(first + r), at + i * kThreads - r * row_pairs, x[i], next[i]);
    }
  }
}

__device__ void store_pixel(const StemArguments& args, int image, int y, const float (&pooled)[24]) {
  const int g = static_cast<int>(threadIdx.x) % 32 / 4, q = static_cast<int>(threadIdx.x) % 4;
  const int x = static_cast<int>(threadIdx.x) / 32 * kWarpPooled + g;
  if (g == kWarpPooled || x >= args.out.w) return;
  const int64_t pixel = image * args.out.image_stride +
                        (int64_t{y} * args.out.w + x) * args.out.pixel_stride;
#pragma unroll
  for (int i = 0; i < kColumns / 32; ++i) {
    const int channel = 32 * i + 8 * q;
    if (channel >= args.out.c) continue;
    float v[8];
#pragma unroll
    for (int e = 0; e < 8; ++e) v[e] = pooled[8 * i + e];
    finish_run(args.epilogue, channel, v);
    store_run(args.out, pixel + channel, v);
  }
}

// Sums of a thread's first or second pixel that is not there.
template <int kSums>
__device__ __forceinline__ void leave_out(float (&sums)[kSums / 2], bool first, bool second) {
#pragma unroll
  for (int i = 0; i < kSums / 2; ++i) {
    if (i % 4 < 2 ? first : second) sums[i] = -INFINITY;
  }
}

template <bool kHalf>
__global__ void __launch_bounds__(kThreads, 2)
    hopper_stem(const __grid_constant__ StemArguments args) {
  extern __shared__ __align__(128) char memory[];
  const int thread = static_cast<int>(threadIdx.x);
  __shared__ uint64_t arrived;  // of the weights
  fetch_weights(arrived, memory, args.weights, args.weight_bytes);
  ptx::wait_for_steps_before();

  const Ring ring = {memory + args.weight_bytes, args.row_units * kUnitBytes};
  const uint32_t weights = core_matrices(ptx::shared_address(memory));
  // The lane's first pixel is 14 w + 2 g; its unit of a tap is q units further right.
  const uint32_t lane = ptx::shared_address(ring.rows) +
                        (thread / 32 * 2 * kWarpPooled + thread % 32 / 4 * 2 + thread % 4) * kUnitBytes;
  const bool idle = thread / 128 * 4 * kWarpPooled >= args.out.w;  // the same for a warpgroup
  const int pixel = thread / 32 * 2 * kWarpPooled + thread % 32 / 4 * 2;
  const auto is_outside = [&](int x) { return x < args.first_pixel || x >= args.end_pixel; };
  const bool first_outside = is_outside(pixel), second_outside = is_outside(pixel + 1);

  const int64_t rows = int64_t{args.images} * args.out.h;
  const auto end = static_cast<int>(rows * (blockIdx.x + 1) / gridDim.x);
  bool resumes = false;
  float largest[kColumns / 4];  // of the rows so far
  for (auto row = static_cast<int>(rows * blockIdx.x / gridDim.x); row < end; ++row) {
    const int image = row / args.out.h, y = row % args.out.h;
    const int loaded = 4 * y + 4 + args.taps;
    const bool starts = !resumes || y == 0;
    if (starts) {
      load_rows<kHalf>(args, ring, image, 4 * y, loaded);
      wait_for_weights(arrived);
      __syncthreads();
    }
    if (row + 1 < end && y + 1 < args.out.h) load_rows<kHalf>(args, ring, image, loaded, loaded + 4);
#pragma unroll 1
    for (int i = starts ? 0 : 1; i < 3 && !idle; ++i) {
      float sums[kColumns / 2] = {};
      const int first = 4 * y + 2 * i;
      multiply_taps<kColumns, kHalf>(sums, args.taps, kUnitBytes, weights, [&](int tap) {
        return lane + (first + tap) % kRing * ring.row_bytes;
      });
      const int conv_row = 2 * y + i;
      const bool no_row = conv_row < args.first_row || conv_row >= args.end_row;
      leave_out<kColumns>(sums, no_row || first_outside, no_row || second_outside);
      pool_row<kColumns>(pool_pairs<kColumns>, sums, largest, i,
                         [&](const auto& pooled) { store_pixel(args, image, y, pooled); });
    }
    resumes = true;
    __syncthreads();  // the rows of the next step are there, and those of this one are read
  }
}

class Stem final : public Layer {
 public:
  explicit Stem(const GemmSpec& spec) : Layer(spec) {
    const auto& [y, x] = spec.step.phases[0];
    const int row = step_.kernel_w * step_.in.c;
    const auto weight = [&](int tap, int element, int n) {
      const int channel = neighbouring_channel(n);
      if (channel >= step_.out.c || element >= row) return 0.0f;
      return spec.step.weight[(channel * step_.kernel_h + tap) * row + element];
    };
    const std::vector<uint16_t> packed = pack_taps(y.taps, kColumns, half_, weight);
    fixed_.weights = keep_packed(packed);
    fixed_.weight_bytes = static_cast<int32_t>(packed.size() * 2);
    fixed_.taps = y.taps;
    const Window& pool = spec.step.finish->window;
    const View& map = map_of(spec.step);
    fixed_.top = y.base - 2 * pool.pad_top;
    fixed_.left = x.base - 2 * pool.pad_left;
    fixed_.first_row = pool.pad_top;
    fixed_.end_row = pool.pad_top + map.h;
    fixed_.first_pixel = pool.pad_left;
    fixed_.end_pixel = pool.pad_left + map.w;
    fixed_.row_units = 2 * step_.out.w + 1 + 3;
    fixed_.reciprocal = reciprocal(fixed_.row_units * kUnitElements / 2);
    const int past_row = std::max(kReadUnits - fixed_.row_units, 0);
    shared_bytes_ = fixed_.weight_bytes + (kRing * fixed_.row_units + past_row) * kUnitBytes;
    blocks_ = multiprocessors_ * blocks_a_multiprocessor(kernel(), kThreads, shared_bytes_);
  }

  void run(int64_t images, const Operands& operands, cudaStream_t stream) const override {
    StemArguments args = fixed_;
    bind(args, images, operands);
    args.epilogue = make_epilogue(step_, {});
    const auto blocks = static_cast<unsigned>(std::min<int64_t>(images * step_.out.h, blocks_));
    launch(kernel(), dim3(blocks), kThreads, static_cast<std::size_t>(shared_bytes_), images, stream,
           args);
  }

 private:
  auto kernel() const -> void (*)(StemArguments) {
    return half_ ? hopper_stem<true> : hopper_stem<false>;
  }

  int shared_bytes_ = 0, blocks_ = 0;
  StemArguments fixed_ = {};
};

}  // namespace

std::unique_ptr<Gemm> make_stem(const GemmSpec& spec) {
  return std::make_unique<Stem>(spec);
}

}  // namespace facegen::cuda::hopper
