#include "cuda/training/sources.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "cuda/runtime/error.h"
#include "cuda/training/copies.h"
#include "cuda/training/launch.cuh"
#include "divide_up.h"
#include "threads.h"

namespace facegen::cuda {
namespace {

constexpr int64_t kBlockBytes = 1 << 20;  // some 100 us of copying by one thread, beside 5 us of a launch
// A few steps of small batches that are not waited for fill no more; larger ones wait for the copies before them.
constexpr int64_t kMostBlocks = 16;
// Blocks that are filled at once, while as many others are on their way.
constexpr int64_t kFilledAtOnce = 8;
static_assert(2 * kFilledAtOnce <= kMostBlocks);
// One thread reads memory at 5 to 11 GB/s, eight at 45: docs/training-gpu.md.
constexpr int kMostCopiers = 8;
constexpr int64_t kPieceBytes = kBlockBytes / 4;  // a thread's at a time, so that few blocks are shared evenly too

struct ConvertArguments {
  const void* from;
  void* to;
  int64_t count;
  int64_t h, w, c;
  int64_t image_stride, row_stride, pixel_stride, channel_stride;
  int64_t first, every;  // of the batch's images
  SourceRule rule;
  int64_t classes;
  unsigned long long* place;
};

__device__ inline float as_float(__half x) { return __half2float(x); }
__device__ inline float as_float(__nv_bfloat16 x) { return __bfloat162float(x); }
template <class Element>
__device__ inline float as_float(Element x) {
  return static_cast<float>(x);
}

__device__ inline int64_t as_integer(__half x) { return __half2ll_rz(x); }
__device__ inline int64_t as_integer(__nv_bfloat16 x) { return __bfloat162ll_rz(x); }
template <class Element>
__device__ inline int64_t as_integer(Element x) {
  return static_cast<int64_t>(x);
}

template <class Element>
__global__ void __launch_bounds__(kBlockThreads) convert_kernel(const __grid_constant__ ConvertArguments a) {
  for_each_number(a.count, [&](int64_t i) {
    const int64_t pixel = i / a.c, row = pixel / a.w, image = row / a.h;
    const Element v = static_cast<const Element*>(
        a.from)[image * a.image_stride + (row - image * a.h) * a.row_stride +
                (pixel - row * a.w) * a.pixel_stride + (i - pixel * a.c) * a.channel_stride];
    const int64_t place = i + (a.first + image * (a.every - 1)) * a.h * a.w * a.c;
    bool breaks = false;
    if (a.rule == SourceRule::kLabels) {
      // Labels are integers; those out of range are told before they are made narrower.
      const int64_t label = as_integer(v);
      breaks = label >= a.classes;
      static_cast<int32_t*>(a.to)[place] = breaks || label < 0 ? -1 : static_cast<int32_t>(label);
    } else {
      const float number = as_float(v);
      breaks = a.rule == SourceRule::kShares && number < 0.0f;
      static_cast<float*>(a.to)[place] = number;
    }
    if (breaks) atomicMin(a.place, static_cast<unsigned long long>(i));
  });
}

}  // namespace

PinnedCopies::PinnedCopies(int threads) : threads_(std::min(threads, kMostCopiers)) {}

// The block that was filled first, if its copy is over or there are kMostBlocks; else a new one. The caller holds
// `taken` more of them.
PinnedCopies::Staging PinnedCopies::next(std::size_t taken) {
  if (!blocks_.empty()) {
    const bool more = static_cast<int64_t>(blocks_.size() + taken) < kMostBlocks;
    const cudaError_t over = more ? cudaEventQuery(blocks_.front().done.get()) : cudaSuccess;
    if (over == cudaErrorNotReady) {
      cudaGetLastError();  // which must not be blamed on the next launch
    } else {
      FACEGEN_CUDA_CHECK(over);
      FACEGEN_CUDA_CHECK(cudaEventSynchronize(blocks_.front().done.get()));
      Staging block = std::move(blocks_.front());
      blocks_.pop_front();
      return block;
    }
  }
  return {allocate_pinned<char>(kBlockBytes), make_event()};
}

template <typename Send>
void PinnedCopies::pass(const char* from, int64_t bytes, int64_t block_bytes, cudaStream_t stream,
                        const Send& send) {
  for (int64_t first = 0; first < bytes; first += kFilledAtOnce * block_bytes) {
    const int64_t count = std::min(kFilledAtOnce, divide_up(bytes - first, block_bytes));
    const auto begin_of = [&](int64_t block) { return first + block * block_bytes; };
    const auto bytes_of = [&](int64_t block) { return std::min(block_bytes, bytes - begin_of(block)); };
    std::vector<Staging> taken;
    while (static_cast<int64_t>(taken.size()) < count) taken.push_back(next(taken.size()));
    const int64_t pieces = divide_up(std::min(block_bytes, bytes - first), kPieceBytes);  // of a block
    parallel_for(count * pieces, threads_, [&](int64_t task, int) {
      const int64_t block = task / pieces, at = task % pieces * kPieceBytes;
      const int64_t piece = std::min(kPieceBytes, bytes_of(block) - at);
      if (piece <= 0) return;
      std::memcpy(taken[static_cast<std::size_t>(block)].memory.get() + at, from + begin_of(block) + at,
                  static_cast<std::size_t>(piece));
    });
    for (int64_t i = 0; i < count; ++i) {
      // Where it stays if this throws: callers then wait before anything is copied again.
      blocks_.push_back(std::move(taken[static_cast<std::size_t>(i)]));
      const Staging& block = blocks_.back();
      send(block.memory.get(), begin_of(i), bytes_of(i));
      FACEGEN_CUDA_CHECK(cudaEventRecord(block.done.get(), stream));
    }
  }
}

void PinnedCopies::copy_up(void* to, const void* from, int64_t bytes, cudaStream_t stream) {
  pass(static_cast<const char*>(from), bytes, kBlockBytes, stream,
       [&](const char* block, int64_t first, int64_t count) {
         facegen::cuda::copy_up(static_cast<char*>(to) + first, block, count, stream);
       });
}

void PinnedCopies::copy_images_up(void* to, int64_t stride, const void* from, int64_t image_bytes,
                                  int64_t images, cudaStream_t stream) {
  if (stride == image_bytes) return copy_up(to, from, images * image_bytes, stream);
  // Blocks of whole images, or images of several blocks; a 2D copy's rows are at most 2^31 bytes apart.
  const int64_t rows = stride < INT32_MAX ? std::min(images, kBlockBytes / image_bytes) : 0;
  const char* const source = static_cast<const char*>(from);
  if (rows == 0) {
    for (int64_t i = 0; i < images; ++i) {
      copy_up(static_cast<char*>(to) + i * stride, source + i * image_bytes, image_bytes, stream);
    }
    return;
  }
  pass(source, images * image_bytes, rows * image_bytes, stream,
       [&](const char* block, int64_t first, int64_t bytes) {
         const auto width = static_cast<std::size_t>(image_bytes);
         FACEGEN_CUDA_CHECK(cudaMemcpy2DAsync(static_cast<char*>(to) + first / image_bytes * stride,
                                              static_cast<std::size_t>(stride), block, width, width,
                                              static_cast<std::size_t>(bytes / image_bytes),
                                              cudaMemcpyHostToDevice, stream));
       });
}

void Intake::take(const Source& source, int64_t floats, SourceRule rule, int64_t classes, float* to,
                  unsigned long long* place, cudaStream_t stream) {
  if (!source.on_device) {
    return copies_.copy_images_up(to + source.first * floats, 4 * source.every * floats, source.data, 4 * floats,
                                  source.images, stream);
  }
  if (source.block != nullptr) {
    source.block->wait_written(stream);
    convert_source(source, rule, classes, to, place, stream);
    source.block->read(stream);
    return;
  }
  if (!given_) given_ = make_event();
  if (!taken_) taken_ = make_event();
  FACEGEN_CUDA_CHECK(cudaEventRecord(given_.get(), source.stream));
  FACEGEN_CUDA_CHECK(cudaStreamWaitEvent(stream, given_.get(), 0));
  convert_source(source, rule, classes, to, place, stream);
  FACEGEN_CUDA_CHECK(cudaEventRecord(taken_.get(), stream));
  FACEGEN_CUDA_CHECK(cudaStreamWaitEvent(source.stream, taken_.get(), 0));
}

void convert_source(const Source& source, SourceRule rule, int64_t classes, void* to,
                    unsigned long long* place, cudaStream_t stream) {
  const auto [h, w, c] = source.shape;
  const auto [of_image, of_row, of_pixel, of_channel] = source.strides;
  const bool dense = of_channel == 1 && of_pixel == c && of_row == w * c && of_image == h * w * c;
  if (dense && source.element == SourceElement::kFloat32 && rule == SourceRule::kNumbers && source.every == 1) {
    const int64_t floats = h * w * c;
    return copy_out(static_cast<float*>(to) + source.first * floats, static_cast<const float*>(source.data),
                    4 * source.images * floats, stream);
  }
  const ConvertArguments a = {source.data, to, source.images * h * w * c, h, w, c, of_image, of_row,
                              of_pixel, of_channel, source.first, source.every, rule, classes, place};
  const auto kernel = [&] {
    switch (source.element) {
      case SourceElement::kFloat64: return convert_kernel<double>;
      case SourceElement::kFloat16: return convert_kernel<__half>;
      case SourceElement::kBfloat16: return convert_kernel<__nv_bfloat16>;
      case SourceElement::kUint8: return convert_kernel<uint8_t>;
      case SourceElement::kInt32: return convert_kernel<int32_t>;
      case SourceElement::kInt64: return convert_kernel<int64_t>;
      case SourceElement::kFloat32: break;
    }
    return convert_kernel<float>;
  }();
  kernel<<<grid_of(a.count), kBlockThreads, 0, stream>>>(a);
  FACEGEN_CUDA_CHECK_LAUNCH("a conversion");
}

Source Source::within(int64_t begin, int64_t end, int64_t floats) const {
  const auto bytes = [&]() -> int64_t {
    switch (element) {
      case SourceElement::kFloat64:
      case SourceElement::kInt64: return 8;
      case SourceElement::kFloat16:
      case SourceElement::kBfloat16: return 2;
      case SourceElement::kUint8: return 1;
      case SourceElement::kFloat32:
      case SourceElement::kInt32: break;
    }
    return 4;
  }();
  // Images in front of one of the batch.
  const auto before = [&](int64_t image) {
    return image <= first ? 0 : std::min(images, divide_up(image - first, every));
  };
  Source some = *this;
  const int64_t skipped = before(begin);
  some.data = static_cast<const char*>(data) + (on_device ? bytes * strides[0] : 4 * floats) * skipped;
  some.images = before(end) - skipped;
  some.first = first + skipped * every;
  return some;
}

}  // namespace facegen::cuda
