#include "cuda/training/augment.h"

#include "cuda/runtime/device.h"
#include "cuda/training/launch.cuh"
#include "cuda/training/warp.h"
#include "divide_up.h"

namespace facegen::cuda {
namespace {

// Null `mirrored`: none is. `chosen`: as of Warps.
__global__ void __launch_bounds__(kBlockThreads)
    mirror_kernel(const uint8_t* mirrored, const int32_t* chosen, int32_t h, int32_t w, int32_t c, const float* in,
                  int64_t count, float* out) {
  for_each_number(count, [&](int64_t i) {
    const int64_t pixel = i / c, row = pixel / w, image = row / h, x = pixel - row * w;
    const int64_t of = chosen == nullptr ? image : chosen[image];
    const int64_t from = (of * h + row - image * h) * w + (mirrored != nullptr && mirrored[image] ? w - 1 - x : x);
    out[i] = in[from * c + (i - pixel * c)];
  });
}

// The sum of a block's numbers, a thread's each, in pairs; for every thread.
__device__ double block_sum(double mine) {
  __shared__ double sums[kBlockThreads];
  sums[threadIdx.x] = mine;
  __syncthreads();
  for (unsigned half = kBlockThreads / 2; half > 0; half /= 2) {
    if (threadIdx.x < half) sums[threadIdx.x] += sums[threadIdx.x + half];
    __syncthreads();
  }
  const double sum = sums[0];
  __syncthreads();  // before another sum is begun
  return sum;
}

// A block has a picture, in `less`, and its direction, in `more`: what is moved against it and along it.
__global__ void __launch_bounds__(kBlockThreads)
    either_side_kernel(float* less, float* more, int64_t floats, double apart) {
  float *const low = less + blockIdx.x * floats, *const high = more + blockIdx.x * floats;
  double squares = 0.0;
  for (int64_t i = threadIdx.x; i < floats; i += kBlockThreads) {
    squares += static_cast<double>(high[i]) * static_cast<double>(high[i]);
  }
  squares = block_sum(squares);
  const float scale = squares > 0.0 ? static_cast<float>(apart / 2 / sqrt(squares)) : 0.0f;
  for (int64_t i = threadIdx.x; i < floats; i += kBlockThreads) {
    const float picture = low[i], move = __fmul_rn(high[i], scale);
    low[i] = picture - move;
    high[i] = picture + move;
  }
}

// A block has a picture (pixels, 3): its colours' sums, in double and always in the same order, then its pixels.
__global__ void __launch_bounds__(kBlockThreads)
    recolour_kernel(const double* colours, int64_t pixels, float* pictures) {
  __shared__ float matrix[12];
  float* const picture = pictures + blockIdx.x * pixels * 3;
  double mine[3] = {};
  for (int64_t i = threadIdx.x; i < pixels; i += kBlockThreads) {
    for (int c = 0; c < 3; ++c) mine[c] += static_cast<double>(picture[3 * i + c]);
  }
  for (double& sum : mine) sum = block_sum(sum);
  if (threadIdx.x < 3) {
    const unsigned row = threadIdx.x;
    const double* const a = colours + 21 * blockIdx.x + 3 * row;
    double shift = 0.0;
    for (int c = 0; c < 3; ++c) {
      matrix[4 * row + c] = static_cast<float>(a[c]);
      shift += a[9 + c] * (mine[c] / static_cast<double>(pixels));
    }
    matrix[4 * row + 3] = static_cast<float>(shift + colours[21 * blockIdx.x + 18 + row]);
  }
  __syncthreads();
  for (int64_t i = threadIdx.x; i < pixels; i += kBlockThreads) {
    float* const p = picture + 3 * i;
    const float r = p[0], g = p[1], b = p[2];
    for (int c = 0; c < 3; ++c) {
      const float* const m = matrix + 4 * c;
      // Products that no addition takes into itself.
      p[c] = __fmul_rn(m[0], r) + __fmul_rn(m[1], g) + __fmul_rn(m[2], b) + m[3];
    }
  }
}

__global__ void __launch_bounds__(kBlockThreads)
    hide_kernel(const int32_t* hidden, int32_t h, int32_t w, int32_t c, int64_t count, float* pictures) {
  for_each_number(count, [&](int64_t i) {
    const int64_t pixel = i / c, row = pixel / w, image = row / h, x = pixel - row * w, y = row - image * h;
    const int32_t* const at = hidden + 4 * image;
    if (y >= at[0] && y < at[1] && x >= at[2] && x < at[3]) pictures[i] = 0.0f;
  });
}

int64_t floats_of(const PictureChange& change) { return int64_t{1} * change.h * change.w * change.c; }

}  // namespace

struct PictureChanges::Numbers {
  const uint8_t* mirrored;
  const float *matrices, *lenses;
  const double* colours;
  const int32_t *hidden, *chosen;
};

PictureChanges::PictureChanges(int device, int threads) : device_(device), intake_(threads) {
  find_device(device);
  const DeviceScope scope(device);
  stream_ = make_stream();
}

PictureChanges::~PictureChanges() { settle(); }

void PictureChanges::settle() const noexcept {
  if (stream_) cudaStreamSynchronize(stream_.get());
}

// What is too small may be in use.
template <typename T>
T* PictureChanges::grown(DeviceMemory<T>& memory, int64_t count) {
  if (memory.count() < count) {
    FACEGEN_CUDA_CHECK(cudaStreamSynchronize(stream_.get()));
    memory = {};
    memory = allocate_device<T>(count);
  }
  return memory.get();
}

// Of another library's array nobody knows how long it lives.
void PictureChanges::take(const Source& source, int64_t floats, float* to) {
  intake_.take(source, floats, SourceRule::kNumbers, 0, to, nullptr, stream_.get());
  if (source.on_device && source.block == nullptr) FACEGEN_CUDA_CHECK(cudaStreamSynchronize(stream_.get()));
}

PictureChanges::Numbers PictureChanges::send(const PictureChange& change) {
  const int64_t n = change.images;
  const auto round = [](int64_t bytes) { return divide_up(bytes, int64_t{16}) * 16; };
  char* to = grown(numbers_, round(n) + round(36 * n) + round(4 * n) + round(168 * n) + round(16 * n) + round(4 * n));
  const auto put = [&](auto* from, int64_t count) -> decltype(from) {
    if (from == nullptr) return nullptr;
    const int64_t bytes = count * static_cast<int64_t>(sizeof *from);
    char* const place = to;
    intake_.copies().copy_up(place, from, bytes, stream_.get());
    to += round(bytes);
    return reinterpret_cast<decltype(from)>(place);
  };
  Numbers numbers = {};
  numbers.mirrored = put(change.mirrored, n);
  numbers.matrices = put(change.matrices, 9 * n);
  numbers.lenses = put(change.lenses, n);
  numbers.colours = put(change.colours, 21 * n);
  numbers.hidden = put(change.hidden, 4 * n);
  numbers.chosen = put(change.chosen, n);
  return numbers;
}

void PictureChanges::change(const PictureChange& change, const Source& from, float* to) {
  if (change.images == 0) return;
  const DeviceScope scope(device_);
  const bool moved = change.mirrored != nullptr || change.matrices != nullptr || change.chosen != nullptr;
  const int64_t floats = floats_of(change);
  float* const first = moved ? grown(other_, from.images * floats) : to;
  const Numbers numbers = send(change);
  take(from, floats, first);
  if (change.adjoint) {
    recolour_and_hide(change, numbers, first);
    if (moved) resample(change, numbers, first, to);
  } else {
    if (moved) resample(change, numbers, first, to);
    recolour_and_hide(change, numbers, to);
  }
}

void PictureChanges::either_side(const Source& pictures, const Source& directions, int64_t floats, double apart,
                                 float* less, float* more) {
  if (pictures.images == 0) return;
  const DeviceScope scope(device_);
  take(pictures, floats, less);
  take(directions, floats, more);
  either_side_kernel<<<grid(pictures.images), kBlockThreads, 0, stream_.get()>>>(less, more, floats, apart);
  FACEGEN_CUDA_CHECK_LAUNCH("both sides of pictures");
}

void PictureChanges::recolour_and_hide(const PictureChange& change, const Numbers& numbers, float* pictures) {
  const int64_t pixels = int64_t{1} * change.h * change.w, count = change.images * floats_of(change);
  const auto recolour = [&] {
    if (change.colours == nullptr) return;
    recolour_kernel<<<grid(change.images), kBlockThreads, 0, stream_.get()>>>(numbers.colours, pixels, pictures);
    FACEGEN_CUDA_CHECK_LAUNCH("colours of pictures");
  };
  if (!change.adjoint) recolour();
  if (change.hidden != nullptr) {
    hide_kernel<<<grid_of(count), kBlockThreads, 0, stream_.get()>>>(
        numbers.hidden, change.h, change.w, change.c, count, pictures);
    FACEGEN_CUDA_CHECK_LAUNCH("squares that are hidden");
  }
  if (change.adjoint) recolour();
}

void PictureChanges::resample(const PictureChange& change, const Numbers& numbers, const float* from, float* to) {
  const int64_t count = change.images * floats_of(change);
  const cudaStream_t stream = stream_.get();
  if (change.matrices == nullptr) {  // a mirror image is its own adjoint
    mirror_kernel<<<grid_of(count), kBlockThreads, 0, stream>>>(numbers.mirrored, numbers.chosen, change.h, change.w,
                                                                change.c, from, count, to);
    FACEGEN_CUDA_CHECK_LAUNCH("mirror images");
    return;
  }
  const Warps warps = {numbers.matrices, numbers.lenses, numbers.chosen, change.images, change.h, change.w, change.c,
                       change.folded, change.cubic};
  if (change.adjoint) {
    int64_t* const sums = grown(sums_, count);
    run_warp_adjoint(warps, from, sums, grown(scales_, change.images), to, stream);
  } else {
    run_warp(warps, from, to, stream);
  }
}

}  // namespace facegen::cuda
