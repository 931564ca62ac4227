// Neighbouring numbers of a map that a thread reads and writes at once: four where channels and addresses
// allow it, or one. Numbers one by one keep too few bytes on their way for the memory of large GPUs.
#pragma once

#include <algorithm>
#include <cstdint>
#include <initializer_list>

#include "cuda/fit/divide.h"
#include "cuda/training/launch.cuh"

namespace facegen::cuda {

// Whether all these arrays can be read four at a time, so many numbers together.
inline bool comes_in_fours(int64_t count, std::initializer_list<const void*> arrays) {
  return count % 4 == 0 && std::all_of(arrays.begin(), arrays.end(), is_vector_aligned);
}

#ifdef __CUDACC__
template <int kCount>
struct Numbers {
  float v[kCount];
};

template <int kCount>
__device__ inline Numbers<kCount> load_numbers(const float* from) {
  if constexpr (kCount == 4) {
    const float4 f = *reinterpret_cast<const float4*>(from);
    return {{f.x, f.y, f.z, f.w}};
  } else {
    static_assert(kCount == 1);
    return {{*from}};
  }
}

template <int kCount>
__device__ inline void store_numbers(float* to, const Numbers<kCount>& n) {
  if constexpr (kCount == 4) {
    *reinterpret_cast<float4*>(to) = make_float4(n.v[0], n.v[1], n.v[2], n.v[3]);
  } else {
    *to = n.v[0];
  }
}

template <int kCount>
__device__ inline void put_numbers(float* to, const Numbers<kCount>& n, bool accumulate) {
  if (!accumulate) return store_numbers(to, n);
  Numbers<kCount> sum = load_numbers<kCount>(to);
#pragma unroll
  for (int i = 0; i < kCount; ++i) sum.v[i] += n.v[i];
  store_numbers(to, sum);
}

// A lane of the walks over maps (pixels.cuh, column_sums.cuh) that reads its arguments' `maps` as they are.
template <class Arguments, int kVector>
struct MapsLane {
  using Maps = Numbers<kVector>[Arguments::kMaps];
  const Arguments& all;
  __device__ MapsLane(const Arguments& a, int64_t, int) : all(a) {}
  __device__ void read(int64_t i, Maps& v) const {
#pragma unroll
    for (int m = 0; m < Arguments::kMaps; ++m) v[m] = load_numbers<kVector>(all.maps[m] + i);
  }
  __device__ void read(int64_t, int64_t i, Maps& v) const { read(i, v); }
};

// The channel of a map's number i.
__device__ inline int channel_of(int64_t i, int channels) {
  return static_cast<int>(i - quotient(i, channels) * channels);
}
#endif

}  // namespace facegen::cuda
