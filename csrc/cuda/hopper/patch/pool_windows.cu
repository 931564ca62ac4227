// A convolution of few channels and stride 1, and the 2x2 max-pool of stride 2 behind it, on
// Hopper: LeNet's conv1. What the convolution makes is four times the pool's output and never
// leaves the registers.
//
// The four pixels of the convolution that a pixel of the pool is the largest of read one window of
// the input, one pixel higher and wider than the kernel. So a row of A is such a window, and of B,
// 32 channels of each of the four are columns side by side, with zeros where they do not read:
//
//   place of a sum   word, of two neighbouring elements (channels of a pixel, then of the next), of
//                    the window's rows one after another; lane % 4 = q takes words q, q + 4, ...
//   column n         position n / 32 of the four (y, x), and a channel of 32
//
// Neighbouring windows start two pixels, and so `channels` words, apart: no element is at an odd
// place. The four positions of a channel are in registers of one thread, and so are both maxima.
//
// A block is a warpgroup. It brings the rows of some images, or of a band of one image, into shared
// memory, and multiplies 64 windows at a time; where each window starts, and where its output goes,
// is the same of all items, and so a table. Several blocks share a multiprocessor: while one loads
// or stores, the others multiply.
#include <algorithm>

#include "cuda/fit/divide.h"
#include "cuda/fit/pooled.h"
#include "cuda/layer.h"
#include "cuda/generic/element.cuh"
#include "cuda/hopper/parts/fragments.cuh"
#include "cuda/hopper/parts/launch.h"
#include "cuda/hopper/parts/output.cuh"
#include "divide_up.h"

namespace facegen::cuda::hopper {
namespace {

constexpr int kThreads = 128;
constexpr int kTileWindows = 64;
constexpr int kPositions = 4;
constexpr int kChannels = 32;  // of a group
constexpr int kColumns = kPositions * kChannels;
constexpr int kSteps = kWindowSteps;
constexpr int kLaneWords = 2 * kSteps;
constexpr int kMaxImages = 8;
constexpr int kLoads = 8;  // of words that a thread has under way

struct WindowsArguments {
  Operand in;
  Output to;
  const uint8_t* weights;  // of every group as pack_steps makes them
  int32_t weight_bytes, groups;
  int32_t images, item_images, item_rows, items;  // an item: rows of the pool of some images
  int32_t top, left;            // of the input's row and pixel that the first tap reads
  int32_t overlap;              // rows of the input that a band reads beyond two for each row
  int32_t row_words;            // of a row as it is staged
  int32_t window_row, window;   // words
  uint32_t of_row, of_image;    // reciprocals: of row_words, of the rows staged of an image
};

struct Item {
  int first_image, images, first_row, rows;  // rows: of the pool
};

__device__ inline Item find_item(const WindowsArguments& args, int number) {
  const int bands = (args.to.out.h + args.item_rows - 1) / args.item_rows;
  const int image = number / bands * args.item_images, row = number % bands * args.item_rows;
  return {image, min(args.item_images, args.images - image), row,
          min(args.item_rows, args.to.out.h - row)};
}

// Brings the rows that an item reads into shared memory, as words of two elements (float32: the hi
// of both, then their lo); zeros outside the input.
template <bool kHalf>
__device__ void stage(const WindowsArguments& args, const Item& item, char* staged) {
  const int elements = args.in.w * args.in.c, rows = 2 * args.item_rows + args.overlap;
  const int words = item.images * rows * args.row_words;
  const auto* images =
      reinterpret_cast<const float*>(args.in.data) + item.first_image * args.in.image_stride;
  for (int at = static_cast<int>(threadIdx.x); at < words; at += kLoads * kThreads) {
    float x[kLoads], next[kLoads];  // all on their way before the first is used
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const int word = at + i * kThreads, row = divide(word, args.of_row);
      const int image = divide(row, args.of_image);
      const int y = 2 * item.first_row + args.top + row - image * rows;
      const int e = args.left * args.in.c + 2 * (word - row * args.row_words);
      const float* from =
          images + (image * static_cast<int>(args.in.image_stride) + y * elements + e);
      // Negative numbers are large ones.
      const auto height = static_cast<unsigned>(args.in.h);
      const auto width = static_cast<unsigned>(elements), first = static_cast<unsigned>(e);
      const bool exists = static_cast<unsigned>(y) < height && word < words;
      x[i] = exists && first < width ? from[0] : 0.0f;
      next[i] = exists && first + 1 < width ? from[1] : 0.0f;
    }
#pragma unroll
    for (int i = 0; i < kLoads; ++i) {
      const int word = at + i * kThreads;
      if (word >= words) continue;
      auto* to = reinterpret_cast<uint32_t*>(staged + word * word_bytes(kHalf));
      uint32_t hi, lo;
      split_pair<kHalf>(x[i], next[i], hi, lo);
      if constexpr (kHalf) {
        to[0] = hi;
      } else {
        *reinterpret_cast<uint2*>(to) = make_uint2(hi, lo);
      }
    }
  }
}

// Where a window of an item starts, in bytes of what is staged, and where its output goes, in
// elements from the item's first.
struct Window {
  uint32_t start;
  int32_t pixel;
};

template <bool kHalf>
__device__ void list_windows(const WindowsArguments& args, Window* windows) {
  const int of_image = args.item_rows * args.to.out.w;
  const int rows = 2 * args.item_rows + args.overlap;
  for (int i = static_cast<int>(threadIdx.x); i < args.item_images * of_image; i += kThreads) {
    const int image = i / of_image, rest = i % of_image;
    const int y = rest / args.to.out.w, x = rest % args.to.out.w;
    const int word = (image * rows + 2 * y) * args.row_words + x * args.in.c;
    windows[i] = {static_cast<uint32_t>(word * word_bytes(kHalf)),
                  image * static_cast<int>(args.to.out.image_stride) +
                      rest * static_cast<int>(args.to.out.pixel_stride)};
  }
}

// A of all steps: the lane's words of its two windows.
template <bool kHalf>
__device__ __forceinline__ void load_windows(const uint32_t (&starts)[2],
                                             const uint32_t (&offsets)[kLaneWords],
                                             uint32_t (&hi)[4 * kSteps],
                                             uint32_t (&lo)[4 * kSteps]) {
#pragma unroll
  for (int i = 0; i < kLaneWords; ++i) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      if constexpr (kHalf) {
        ptx::load_shared4(starts[r] + offsets[i], hi[2 * i + r]);
      } else {
        ptx::load_shared8(starts[r] + offsets[i], hi[2 * i + r], lo[2 * i + r]);
      }
    }
  }
}

// Of each of the thread's windows and eight channels, the largest of the four positions. All at
// once: the sums' registers are then free.
__device__ __forceinline__ void take_largest(const float (&sums)[kColumns / 2],
                                             float (&largest)[2][8]) {
#pragma unroll
  for (int i = 0; i < 16; ++i) {
    const float* sum = &sums[4 * (i % 8 / 2) + 2 * (i / 8) + i % 2];
    float& most = largest[i / 8][i % 8] = sum[0];
#pragma unroll
    for (int p = 1; p < kPositions; ++p) most = max_or_nan(most, sum[kChannels / 2 * p]);
  }
}

// Finishes and stores them; pixels[r] < 0: not there.
template <bool kHalf>
__device__ __forceinline__ void store_windows(const WindowsArguments& args, int64_t first,
                                              const int (&pixels)[2], int channel,
                                              float (&largest)[2][8]) {
  if (channel >= args.to.out.c) return;
  float bias[8];
  load8(args.to.bias, channel, bias);
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    if (pixels[r] < 0) continue;
    finish(args.to, bias, largest[r]);
    store<kHalf>(args.to, first + pixels[r] + channel, largest[r]);
  }
}

template <bool kHalf>
__global__ void __launch_bounds__(kThreads, 4)
    hopper_pool_windows(const __grid_constant__ WindowsArguments args) {
  extern __shared__ __align__(128) char memory[];
  __shared__ uint64_t arrived;  // of the weights
  fetch_weights(arrived, memory, args.weights, args.weight_bytes);
  char* staged = memory + args.weight_bytes;
  auto* table = reinterpret_cast<Window*>(staged + kMaxStageBytes);
  list_windows<kHalf>(args, table);
  ptx::wait_for_steps_before();

  const int lane = static_cast<int>(threadIdx.x) % 4;
  uint32_t offsets[kLaneWords];  // of the lane's words, from the start of a window
#pragma unroll
  for (int i = 0; i < kLaneWords; ++i) {
    // Those past the window are multiplied by zeros.
    const int word = 4 * i + lane < args.window ? 4 * i + lane : 0, row = word / args.window_row;
    offsets[i] = (row * args.row_words + word - row * args.window_row) * word_bytes(kHalf);
  }
  for (int number = static_cast<int>(blockIdx.x); number < args.items;
       number += static_cast<int>(gridDim.x)) {
    const Item item = find_item(args, number);
    stage<kHalf>(args, item, staged);
    wait_for_weights(arrived);
    __syncthreads();
    const int64_t first =
        item.first_image * args.to.out.image_stride +
        int64_t{item.first_row} * args.to.out.w * args.to.out.pixel_stride;
    const int windows = item.images * item.rows * args.to.out.w;  // several images have all rows
#pragma unroll 1
    for (int tile = 0; tile < windows; tile += kTileWindows) {
      uint32_t starts[2];
      int pixels[2];
#pragma unroll
      for (int r = 0; r < 2; ++r) {
        const int number = tile + static_cast<int>(threadIdx.x) / 32 * 16 +
                           static_cast<int>(threadIdx.x) % 32 / 4 + 8 * r;
        const Window window = table[min(number, windows - 1)];
        starts[r] = ptx::shared_address(staged) + window.start;
        pixels[r] = number < windows ? window.pixel : -1;
      }
      uint32_t hi[4 * kSteps], lo[4 * kSteps];
      load_windows<kHalf>(starts, offsets, hi, lo);
      uint32_t b = core_matrices(ptx::shared_address(memory));
#pragma unroll 1
      for (int group = 0; group < args.groups; ++group) {
        float sums[kColumns / 2] = {};
        multiply_steps<kColumns, kHalf, kSteps>(sums, hi, lo, b);
        b += kSteps * (step_bytes(kColumns, kHalf) >> 4);
        float largest[2][8];
        take_largest(sums, largest);
        store_windows<kHalf>(args, first, pixels, group * kChannels + 8 * lane, largest);
      }
    }
    __syncthreads();  // all have read the item
  }
}

class PoolWindows final : public Layer {
 public:
  explicit PoolWindows(const GemmSpec& spec) : Layer(spec) {
    const auto& [y, x] = spec.step.phases[0];
    fixed_.groups = divide_up(step_.out.c, kChannels);
    fixed_.top = y.base;
    fixed_.left = x.base;
    fixed_.overlap = step_.kernel_h - 1;
    fixed_.row_words = staged_row_words(step_);
    fixed_.window_row = window_row_words(step_);
    fixed_.window = fixed_.window_row * (step_.kernel_h + 1);
    fixed_.of_row = reciprocal(fixed_.row_words);
    const std::vector<uint16_t> packed = pack(spec.step.weight);
    fixed_.weights = keep_packed(packed);
    fixed_.weight_bytes = static_cast<int32_t>(packed.size() * 2);
    shared_bytes_ = fixed_.weight_bytes + kMaxStageBytes +
                    kMaxWindows * static_cast<int>(sizeof(Window));
    blocks_ = multiprocessors_ * blocks_a_multiprocessor(kernel(), kThreads, shared_bytes_);
  }

  void run(int64_t images, const Operands& operands, cudaStream_t stream) const override {
    WindowsArguments args = fixed_;
    args.in = make_operand(step_.in, operands.in);
    args.to = make_output(step_, operands.out);
    args.images = static_cast<int32_t>(images);
    cut_items(args);
    launch(kernel(), dim3(static_cast<unsigned>(std::min(args.items, blocks_))), kThreads,
           static_cast<std::size_t>(shared_bytes_), images, stream, args);
  }

 private:
  auto kernel() const -> void (*)(WindowsArguments) {
    return half_ ? hopper_pool_windows<true> : hopper_pool_windows<false>;
  }

  std::vector<uint16_t> pack(const float* weights) const {
    const int kernel_h = step_.kernel_h, kernel_w = step_.kernel_w, channels = step_.in.c;
    std::vector<uint16_t> all;
    for (int group = 0; group < fixed_.groups; ++group) {
      const auto weight = [&](int step, int place, int n) {
        const int word = 4 * (2 * step + place / 8) + place % 8 / 2;
        const int position = n / kChannels, element = word % fixed_.window_row * 2 + place % 2;
        const int out = group * kChannels + neighbouring_channel(n % kChannels);
        const int ty = word / fixed_.window_row - position / 2;
        const int tx = element / channels - position % 2;
        if (word >= fixed_.window || out >= step_.out.c || ty < 0 || ty >= kernel_h || tx < 0 ||
            tx >= kernel_w) {
          return 0.0f;
        }
        const int tap = (out * kernel_h + ty) * kernel_w + tx;
        return weights[tap * channels + element % channels];
      };
      const std::vector<uint16_t> packed = pack_steps(kSteps, kColumns, half_, weight);
      all.insert(all.end(), packed.begin(), packed.end());
    }
    return all;
  }

  bool fits(int images, int rows) const {
    const int words = images * (2 * rows + fixed_.overlap) * fixed_.row_words;
    return words * word_bytes(half_) <= kMaxStageBytes &&
           images * rows * step_.out.w <= kMaxWindows;
  }

  // As many whole images an item as leave the fewest places of tiles empty, or as many rows of one
  // as fit. Of small batches less, so that all blocks have some.
  void cut_items(WindowsArguments& args) const {
    const int height = step_.out.h, width = step_.out.w;
    int images = 1, rows = height;
    double least = 2.0;
    for (int n = 1; n <= kMaxImages && fits(n, height); ++n) {
      const int windows = n * height * width;
      const double places = divide_up(windows, kTileWindows) * kTileWindows;
      if (places / windows < least) images = n, least = places / windows;
    }
    while (!fits(images, rows)) --rows;
    const auto items = [&] { return divide_up(args.images, images) * divide_up(height, rows); };
    while (images > 1 && items() < blocks_) images = divide_up(images, 2);
    while (items() < blocks_ && rows > 1 && rows * width > kTileWindows) rows = divide_up(rows, 2);
    args.item_images = images;
    args.item_rows = rows;
    args.items = items();
    args.of_image = reciprocal(2 * rows + fixed_.overlap);
  }

  int shared_bytes_ = 0, blocks_ = 0;
  WindowsArguments fixed_ = {};
};

}  // namespace

std::unique_ptr<Gemm> make_pool_windows(const GemmSpec& spec) {
  return std::make_unique<PoolWindows>(spec);
}

}  // namespace facegen::cuda::hopper
