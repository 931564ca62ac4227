#include "cuda/training/phase_maps.h"

#include "cuda/fit/divide.h"
#include "cuda/training/launch.cuh"
#include "cuda/training/operands.cuh"

namespace facegen::cuda {
namespace {

using hopper::PhaseChannels;

__global__ void __launch_bounds__(kBlockThreads)
    phase_weight_kernel(const __grid_constant__ PhaseChannels phases, const float* weight,
                        const __grid_constant__ OperandTarget to) {
  const int runs = to.pitch / 8, columns = phases.columns();
  for_each_number(int64_t{phases.lines()} * runs, [&](int64_t i) {
    const int line = static_cast<int>(i) / runs, first = (static_cast<int>(i) - line * runs) * 8;
    float v[8];
#pragma unroll
    for (int e = 0; e < 8; ++e) {
      const int at = first + e < columns ? phases.weight_at(line, first + e) : -1;
      v[e] = at < 0 ? 0.0f : weight[at];
    }
    store_operands(to, i * 8, v);
  });
}

struct OutputDividers {
  Divider row, stride, run, channels;
};

constexpr int kOutputs = 4;  // of a thread: their reads are waited for together

// A block has neighbouring numbers of an image. The phases of a position that are side by side in y are so in the
// product too: runs of stride_x channels are copied.
__global__ void __launch_bounds__(kBlockThreads)
    phase_outputs_kernel(const __grid_constant__ PhaseOutputs s, const __grid_constant__ OutputDividers by,
                         int blocks_an_image) {
  const int image = static_cast<int>(blockIdx.x) / blocks_an_image;
  const int first = static_cast<int>(blockIdx.x) % blocks_an_image * (kOutputs * kBlockThreads) +
                    static_cast<int>(threadIdx.x);
  const int row_floats = s.y_w * s.channels, run_floats = s.stride_x * s.channels, floats = s.y_h * row_floats;
  const float* const parts = s.parts + int64_t{image} * s.h * s.w * s.pitch;
  float* const y = s.y + int64_t{image} * floats;
  int from[kOutputs];
  float sums[kOutputs] = {}, biases[kOutputs] = {}, held[kOutputs] = {};
#pragma unroll
  for (int e = 0; e < kOutputs; ++e) {
    const int i = first + e * kBlockThreads;
    const int row = by.row.divide(i), in_row = i - row * row_floats;
    const int position_y = by.stride.divide(row), position_x = by.run.divide(in_row);
    const int in_run = in_row - position_x * run_floats;
    // Behind the last, what is read is there too, and goes nowhere.
    from[e] = i < floats ? (position_y * s.w + position_x) * s.pitch +
                               (row - position_y * s.stride_y) * run_floats + in_run
                         : 0;
    if (s.bias != nullptr) biases[e] = s.bias[in_run - by.channels.divide(in_run) * s.channels];
    if (s.accumulate && i < floats) held[e] = y[i];
  }
#pragma unroll 1
  for (int part = 0; part < s.splits; ++part) {
#pragma unroll
    for (int e = 0; e < kOutputs; ++e) sums[e] += parts[part * s.part_floats + from[e]];
  }
#pragma unroll
  for (int e = 0; e < kOutputs; ++e) {
    const int i = first + e * kBlockThreads;
    if (i >= floats) return;
    y[i] = activate(sums[e] + biases[e] + held[e], s.activation, s.alpha);
  }
}

// Each number of the weight is one of W; those of W that are none stay where they are.
__global__ void __launch_bounds__(kBlockThreads) phase_gradients_kernel(const __grid_constant__ PhaseGradients s) {
  const int lines = s.phases.lines(), columns = s.phases.columns();
  const int64_t part_floats = int64_t{columns} * s.pitch;
  for_each_number(int64_t{columns} * lines, [&](int64_t i) {
    const int column = static_cast<int>(i) / lines, line = static_cast<int>(i) - column * lines;
    const int at = s.phases.weight_at(line, column);
    if (at < 0) return;
    const float* const from = s.parts + int64_t{column} * s.pitch + line;
    float sum = 0.0f;
#pragma unroll 8
    for (int part = 0; part < s.splits; ++part) sum += from[part * part_floats];
    s.gradient[at] = sum;
  });
}

}  // namespace

void make_phase_weight(const PhaseChannels& phases, const float* weight, const OperandTarget& to,
                       cudaStream_t stream) {
  phase_weight_kernel<<<grid_of(int64_t{phases.lines()} * (to.pitch / 8)), kBlockThreads, 0, stream>>>(phases, weight,
                                                                                                       to);
  FACEGEN_CUDA_CHECK_LAUNCH("a weight by phases");
}

void run_phase_outputs(const PhaseOutputs& s, int64_t images, cudaStream_t stream) {
  const int row_floats = s.y_w * s.channels;
  const int64_t of_image = divide_up(int64_t{s.y_h} * row_floats, int64_t{kOutputs * kBlockThreads});
  const OutputDividers by = {make_divider(row_floats), make_divider(s.stride_y),
                             make_divider(s.stride_x * s.channels), make_divider(s.channels)};
  phase_outputs_kernel<<<grid(images * of_image), kBlockThreads, 0, stream>>>(s, by, static_cast<int>(of_image));
  FACEGEN_CUDA_CHECK_LAUNCH("a map of its phases");
}

void add_phase_gradient_parts(const PhaseGradients& s, cudaStream_t stream) {
  phase_gradients_kernel<<<grid_of(int64_t{s.phases.columns()} * s.phases.lines()), kBlockThreads, 0, stream>>>(s);
  FACEGEN_CUDA_CHECK_LAUNCH("the sum of a weight gradient's parts by phases");
}

}  // namespace facegen::cuda
