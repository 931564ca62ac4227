#include "cuda/training/begin.h"

#include <algorithm>

#include "cuda/runtime/error.h"
#include "cuda/training/launch.cuh"

namespace facegen::cuda {
namespace {

// to (images, count) = those rows of from, of the images that are needed
template <class Number>
__device__ inline void gather(const void* from, const BeginArguments::Array& array, const int32_t* rows,
                              int64_t count) {
  auto* const to = reinterpret_cast<Number*>(array.to);
  for_each_number(array.images * count, [&](int64_t i) {
    const int64_t image = array.first + i / count, number = i % count;
    to[image * count + number] = static_cast<const Number*>(from)[int64_t{rows[image]} * count + number];
  });
}

__global__ void __launch_bounds__(kBlockThreads) begin_kernel(const __grid_constant__ BeginArguments a) {
  if (blockIdx.x == 0 && threadIdx.x == 0) *a.state = {};
  if (*a.stopped != 0) return;
  const char* const entry =
      a.call + a.entries_at + reinterpret_cast<const Cursor*>(a.call)->step * a.entry_bytes;
  const auto* const words = reinterpret_cast<const uint32_t*>(entry);
  if (blockIdx.x == 0) {
    for (int word = static_cast<int>(threadIdx.x); word < a.words; word += kBlockThreads) {
      a.numbers[word] = words[word];
    }
  }
  const auto* const rows = reinterpret_cast<const int32_t*>(words + a.words);
  const auto* const sources = reinterpret_cast<const void* const*>(a.call + sizeof(Cursor));
  for (int i = 0; i < a.array_count; ++i) {
    const BeginArguments::Array& array = a.arrays[i];
    const void* const from = sources[array.number];
    // Arrays begin at multiples of 256 bytes.
    if (array.floats % 4 == 0) {
      gather<float4>(from, array, rows, array.floats / 4);
    } else {
      gather<float>(from, array, rows, array.floats);
    }
  }
}

}  // namespace

void run_begin(const BeginArguments& a, cudaStream_t stream) {
  int64_t most = 1;
  for (int i = 0; i < a.array_count; ++i) {
    const int64_t floats = a.arrays[i].floats;
    most = std::max(most, a.arrays[i].images * (floats % 4 == 0 ? floats / 4 : floats));
  }
  begin_kernel<<<grid_of(most), kBlockThreads, 0, stream>>>(a);
  FACEGEN_CUDA_CHECK_LAUNCH("the beginning of a step");
}

}  // namespace facegen::cuda
