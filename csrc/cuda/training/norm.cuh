// What the kernels of norms share: see steps/norms.py for the formulas.
//
// A batch norm has one segment, all pixels of the batch; an instance norm a segment an image. Statistics of
// a segment lie at (segment, 3 or 2, channels): mean, 1 / deviation and, of a batch norm, the variance.
#pragma once

#include "cuda/training/call.h"
#include "cuda/training/column_sums.cuh"
#include "cuda/training/pixels.cuh"
#include "cuda/training/ramp.cuh"

namespace facegen::cuda {

struct Norm {
  int64_t segments, rows;  // of a segment
  int32_t channels, groups;  // whose statistics are joined; as many as channels: none
  int32_t planes;  // of the statistics
  bool stored;     // statistics
  float* statistics;
  const float *gamma, *beta;

  __device__ const float* mean(int64_t segment) const { return statistics + segment * planes * channels; }
  __device__ const float* inverse(int64_t segment) const { return mean(segment) + channels; }
};

inline Norm batch_norm_of(const TrainingCall& call, const NormMemory& memory) {
  const TrainingValue& x = *call.x.value;
  return {1, call.images * x.pixels(), x.c, x.c, 3, call.step.stored, memory.statistics, memory.gamma, memory.beta};
}

inline Norm instance_norm_of(const TrainingCall& call, const NormMemory& memory) {
  const TrainingValue& x = *call.x.value;
  return {call.images, x.pixels(), x.c, call.step.groups, 2, false, memory.statistics, memory.gamma, memory.beta};
}

// A thread's channels as they are normalised. Forwards and backwards have the same bits.
template <int kVector>
struct NormLane {
  float mean[kVector], scale[kVector], beta[kVector];
  __device__ NormLane(const Norm& n, int64_t segment, int channel) {
#pragma unroll
    for (int e = 0; e < kVector; ++e) {
      mean[e] = n.mean(segment)[channel + e];
      scale[e] = n.gamma[channel + e] * n.inverse(segment)[channel + e];
      beta[e] = n.beta[channel + e];
    }
  }
  __device__ float normalise(int e, float x) const { return fmaf(x - mean[e], scale[e], beta[e]); }
};

// Calls body(segment, first channel) for every group of channels of every segment.
template <class Body>
__device__ inline void for_each_group(const Norm& n, const Body& body) {
  for_each_number(n.segments * n.groups, [&](int64_t i) {
    body(i / n.groups, static_cast<int>(i % n.groups) * (n.channels / n.groups));
  });
}

}  // namespace facegen::cuda
