// One step of training on one batch, as the launchers of its kernels see it. All memory is the GPU's.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "cuda/fit/product_step.h"
#include "training_program.h"

namespace facegen::cuda {

// A value's images, one after another without gaps.
struct TrainingMap {
  float* data = nullptr;
  const TrainingValue* value = nullptr;
};

// The images of a batch that are computed at once.
struct Part {
  int64_t images;
  int64_t first, whole;  // its first image in the batch; images of the batch
  // Of a batch whose parts are all computed side by side, maybe on several GPUs: see OwnShares.
  int32_t share = 0, shares = 1;
  int32_t place = 0;  // among those of this GPU
};

inline Part whole(int64_t images) { return {images, 0, images}; }

// What differs from one run of a captured graph to the next, but for arrays.
struct StepNumbers {
  uint64_t seed, step;  // of dropout, and of how weights are rounded
};

// What a step leaves behind for the host, and for the kernels that change parameters.
struct StepState {
  double length;  // of the gradient
  float scale;    // of the gradient, for its length
  int32_t finite;
};

// Where a step's output goes besides, for a product that reads it: (pixels, pitch), of a split one hi, and lo
// a plane behind. The pitch is the next multiple of 8 of the channels; what is behind these are zeros. Null:
// nowhere.
struct OperandTarget {
  uint16_t* to = nullptr;
  int64_t plane = 0;
  int32_t pitch = 0;
  hopper::OperandFormat format = hopper::OperandFormat::kSplit;  // others have one plane
  const float* largest = nullptr;  // see operand_scale; null: 1
  bool alone = false;              // the output itself is not read, and need not be written
};

struct TrainingCall {
  const TrainingStep& step;
  int64_t images;
  TrainingMap x, other, y, dy, dx;
  char* scratch;       // training_scratch_bytes
  uint32_t* arrivals;  // (kArrivals) of blocks, zero between kernels; as the scratch, one stream's
  const StepNumbers* numbers;
  cudaStream_t stream;
  Part part;
  OperandTarget operand = {};
  // The step behind a product or a copy that multiplies its output by the slope of a ramp, and the map that tells
  // it; null: there is none.
  const TrainingStep* gate = nullptr;
  TrainingMap gate_map = {};
  float* bias_gradient = nullptr;  // where the sum over pixels of what the step has so made goes; null: nowhere
};

// Parameters of a norm, as NormArrays of the CPU.
struct NormMemory {
  const float* gamma;
  const float* beta;
  float* mean;
  float* var;
  float* statistics;
  float* gamma_gradient;  // null: not trained
  float* beta_gradient;
};

// ---- gemm.cu
void run_gemm(const TrainingCall& call, const TrainingGroups& groups, const float* weight,
              const float* bias);
// ---- weight_gradient.cu: the weights that no phase has are left as they are (zeros, once made)
void run_weight_gradient(const TrainingCall& call, const TrainingGroups& groups, float* gradient);
// ---- sums.cu
void run_bias_gradient(const TrainingCall& call, float* gradient);
void run_global_avg_pool(const TrainingCall& call);
// ---- depthwise.cu
void run_depthwise(const TrainingCall& call, const float* weight, const float* bias);
void run_depthwise_gradient(const TrainingCall& call, const float* weight);
void run_depthwise_weight_gradient(const TrainingCall& call, float* gradient);
// ---- gates.cu
void run_prelu(const TrainingCall& call, const float* slopes);
void run_prelu_gradient(const TrainingCall& call, const float* slopes, float* gradient);  // null: not trained
void run_multiply(const TrainingCall& call);
void run_multiply_sum(const TrainingCall& call);
// ---- softmax.cu
void run_softmax(const TrainingCall& call);
void run_softmax_gradient(const TrainingCall& call);
// ---- orders.cu
void run_shuffle(const TrainingCall& call);
void run_rearrange(const TrainingCall& call);
// ---- layer_norm.cu
void run_layer_norm(const TrainingCall& call, const NormMemory& memory);
void run_layer_norm_gradient(const TrainingCall& call, const NormMemory& memory);
// ---- norms.cu
void run_batch_norm(const TrainingCall& call, const NormMemory& memory);
// `shares`: of a batch in shares, what join_norm_gradients made.
void run_batch_norm_gradient(const TrainingCall& call, const NormMemory& memory, const float* shares);
// Where the batch is in shares, each first gives what its images have, (2, channels) of nodes (shares, 2,
// channels); all are then joined in their order: to the statistics, or to shares (2, channels) and gradients,
// which are 0 unless `writes`.
void find_norm_node(const TrainingCall& call, const NormMemory& memory, double* node);
void join_norm(const TrainingCall& call, const NormMemory& memory, const double* nodes);
void find_norm_gradient_node(const TrainingCall& call, const NormMemory& memory, double* node);
void join_norm_gradients(const TrainingCall& call, const NormMemory& memory, const double* nodes, bool writes,
                         float* shares);
void run_instance_norm(const TrainingCall& call, const NormMemory& memory);
void run_instance_norm_gradient(const TrainingCall& call, const NormMemory& memory);
// Changes nothing unless all is finite.
void run_update_statistics(const TrainingCall& call, const NormMemory& memory,
                           const StepState* state);
// ---- maps.cu
void run_activate(const TrainingCall& call);
void run_activate_gradient(const TrainingCall& call);
void run_global_avg_pool_gradient(const TrainingCall& call);
void run_dropout(const TrainingCall& call);
// ---- channel_copies.cu
void run_copy(const TrainingCall& call);
// ---- pools.cu
void run_max_pool(const TrainingCall& call);
void run_max_pool_gradient(const TrainingCall& call);
// ---- resample.cu
struct DeviceTaps {  // AxisTaps of a resample, or of its gradient TransposedTaps
  const int32_t* start;  // null: taps of each
  const int32_t* positions;
  const float* weights;
  int32_t taps;
};
void run_resample(const TrainingCall& call, const DeviceTaps& rows, const DeviceTaps& columns);
// ---- losses.cu: `target` of the part, `losses` of the batch
void run_loss(const TrainingCall& call, const void* target, double* losses);

}  // namespace facegen::cuda
