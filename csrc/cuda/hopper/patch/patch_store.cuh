// The end of a tile of patch.cu: from float32 sums in shared memory to the output.
#pragma once

#include "cuda/fit/patch_plan.h"
#include "cuda/generic/element.cuh"

namespace facegen::cuda::hopper {

constexpr int kPatchThreads = 256;  // that share a tile

// The kernel's argument.
struct PatchArguments {
  Operand in, out, copy;  // copy.data is null where there is none
  bool copy_relu;
  bool vectors;  // whether channels are stored eight at a time
  DeviceEpilogue epilogue;
  const uint8_t* weights;  // per group: (block of k, plane, column) rows of 128 bytes, swizzled
  const int16_t* offsets;
  const PatchGroup* groups;
  int32_t images, step_y, step_x, log2_w;
  int32_t phases_x, columns, pitch;  // pitch: columns of a phase
  int32_t blocks;                    // of k
  int32_t work_bytes, patch_elements;
  uint32_t reciprocal;  // of the input's channels, for divide()
};

// 8 floats of padding: rows of the sums then start in different banks.
template <int kColumns>
constexpr int kSumsPitch = kColumns + 8;

// Where a tile is: its image, and its first output pixel.
struct PatchTile {
  int image, y, x;
};

// Eight channels at a time.
template <int kColumns>
__device__ void store_vectors(const PatchArguments& args, const PatchGroup& group,
                              const PatchTile& tile, int thread, const float* sums) {
  const int row_end = args.out.w * static_cast<int>(args.out.pixel_stride);
  for (int i = thread; i < kPatchRows * kColumns / 8; i += kPatchThreads) {
    const int row = i / (kColumns / 8), column = i % (kColumns / 8) * 8;
    const int y = tile.y + (row >> args.log2_w), x = tile.x + (row & ((1 << args.log2_w) - 1));
    if (column >= args.columns || y >= group.rows || x >= group.cols) continue;
    const int out_y = group.origin_y + y * group.out_step_y;
    const int along = x * args.phases_x * static_cast<int>(args.out.pixel_stride) + column;
    if (along >= row_end) continue;
    const auto* from = reinterpret_cast<const float4*>(sums + row * kSumsPitch<kColumns> + column);
    const float4 low = from[0], high = from[1];
    float v[8] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
    finish_run(args.epilogue, args.phases_x == 1 ? column : column % args.pitch, v);
    store_run(args.out, tile.image * args.out.image_stride + int64_t{out_y} * row_end + along, v);
    if (args.copy.data == nullptr) continue;
    if (args.copy_relu) {
#pragma unroll
      for (float& value : v) value = value < 0.0f ? 0.0f : value;
    }
    // Copies have one phase: see merge_copies.
    store_run(args.copy,
              tile.image * args.copy.image_stride +
                  (int64_t{out_y} * args.copy.w + x) * args.copy.pixel_stride + column,
              v);
  }
}

// Float32, four channels at a time: neighbouring threads write neighbouring 16 bytes.
template <int kColumns>
__device__ void store_floats(const PatchArguments& args, const PatchGroup& group, const PatchTile& tile,
                             int thread, const float* sums) {
  constexpr int kQuads = kColumns / 4;
  const DeviceEpilogue& e = args.epilogue;
  const int row_end = args.out.w * static_cast<int>(args.out.pixel_stride);
  auto* out = reinterpret_cast<float*>(args.out.data) + tile.image * args.out.image_stride;
  for (int i = thread; i < kPatchRows * kQuads; i += kPatchThreads) {
    const int row = i / kQuads, column = i % kQuads * 4;
    const int y = tile.y + (row >> args.log2_w), x = tile.x + (row & ((1 << args.log2_w) - 1));
    if (column >= args.columns || y >= group.rows || x >= group.cols) continue;
    const int out_y = group.origin_y + y * group.out_step_y;
    const int along = x * args.phases_x * static_cast<int>(args.out.pixel_stride) + column;
    if (along >= row_end) continue;
    const int channel = args.phases_x == 1 ? column : column % args.pitch;
    const float4 from = *reinterpret_cast<const float4*>(sums + row * kSumsPitch<kColumns> + column);
    const auto constants = [channel](const float* of) {
      return __ldg(reinterpret_cast<const float4*>(of + channel));
    };
    float v[4] = {from.x, from.y, from.z, from.w};
    if (e.bias != nullptr) {
      const float4 bias = constants(e.bias);
      v[0] += bias.x, v[1] += bias.y, v[2] += bias.z, v[3] += bias.w;
    }
    activate_run(v, e.activation, e.alpha, e.beta);
    float4 to = make_float4(v[0], v[1], v[2], v[3]);
    if (e.scale != nullptr) {
      const float4 scale = constants(e.scale), shift = constants(e.shift);
      to = make_float4(fmaf(v[0], scale.x, shift.x), fmaf(v[1], scale.y, shift.y),
                       fmaf(v[2], scale.z, shift.z), fmaf(v[3], scale.w, shift.w));
    }
    *reinterpret_cast<float4*>(out + int64_t{out_y} * row_end + along) = to;
  }
}

// Float32 one at a time, where pixels do not start at multiples of 8: a warp stores the columns of one
// pixel after another, and lanes keep theirs.
template <int kColumns>
__device__ void store_single(const PatchArguments& args, const PatchGroup& group, const PatchTile& tile,
                             int thread, const float* sums) {
  constexpr int kPerLane = (kColumns + 31) / 32;
  const DeviceEpilogue& e = args.epilogue;
  const int stride = static_cast<int>(args.out.pixel_stride);
  auto* out = reinterpret_cast<float*>(args.out.data);
  int place[kPerLane], phase[kPerLane];  // of a lane's columns; place < 0: none
  float bias[kPerLane], scale[kPerLane], shift[kPerLane];
#pragma unroll
  for (int i = 0; i < kPerLane; ++i) {
    const int column = i * 32 + thread % 32;
    phase[i] = column / args.pitch;
    const int channel = column - phase[i] * args.pitch;
    place[i] = column < args.columns && channel < args.out.c ? phase[i] * stride + channel : -1;
    const bool exists = place[i] >= 0;
    bias[i] = exists && e.bias != nullptr ? __ldg(e.bias + channel) : 0.0f;
    scale[i] = exists && e.scale != nullptr ? __ldg(e.scale + channel) : 1.0f;
    shift[i] = exists && e.shift != nullptr ? __ldg(e.shift + channel) : 0.0f;
  }
#pragma unroll 2
  for (int row = thread / 32; row < kPatchRows; row += kPatchThreads / 32) {
    const int y = tile.y + (row >> args.log2_w), x = tile.x + (row & ((1 << args.log2_w) - 1));
    if (y >= group.rows || x >= group.cols) continue;
    const int out_y = group.origin_y + y * group.out_step_y, out_x = x * args.phases_x;
    const int64_t start =
        tile.image * args.out.image_stride + (int64_t{out_y} * args.out.w + out_x) * stride;
    const float* from = sums + row * kSumsPitch<kColumns> + thread % 32;
    float v[kPerLane];
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) v[i] = from[32 * i] + bias[i];
    activate_run(v, e.activation, e.alpha, e.beta);
#pragma unroll
    for (int i = 0; i < kPerLane; ++i) {
      if (place[i] < 0 || out_x + phase[i] >= args.out.w) continue;
      out[start + place[i]] = fmaf(v[i], scale[i], shift[i]);
    }
  }
}

}  // namespace facegen::cuda::hopper
