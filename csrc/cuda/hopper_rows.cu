// conv_transpose2d of 17 to 24 channels whose phases along x fill a product (conv13 of segmentation:
// 11x11, stride 4, 21 channels), on Hopper, row by row.
//
// Phases along x read the same input pixels and write side by side: they are the columns of one
// product, and a tile, 64 positions along x, is a row of the output without gaps. Phases along y are
// groups with weights of their own. A block keeps the weights of one group and walks down the images,
// a row a warpgroup at a time:
//
//   patch    the input rows of these tiles, in units (hopper_fragments.cuh): a tap is one pixel of up
//            to 24 channels; two patches, one is filled while the other is multiplied
//   sums     64 positions x up to 96 columns, in registers
//   staging  the sums as they will lie in device memory, from where the copy engine takes them: a row
//            may start anywhere, so its ends, up to 3 floats each, are stored by threads
#include <algorithm>

#include "cuda/element.cuh"
#include "cuda/error.h"
#include "cuda/gemm.h"
#include "cuda/hopper_fragments.cuh"
#include "cuda/hopper_launch.h"
#include "cuda/hopper_patch.h"
#include "cuda/memory.h"

namespace facegen::cuda {
namespace hopper {
namespace {

constexpr int kTilePixels = 64;
constexpr int kMaxTeams = 4;  // warpgroups
constexpr int kPixelBytes = 4 * kUnitBytes;
constexpr int kPixelPairs = kTapElements / 2;
constexpr int kMaxTaps = 16;
constexpr int kMaxGroups = 8;
// Pairs of elements of a patch that a thread loads: rows of a warpgroup, pairs of a row.
constexpr int kLoadedRows = 2, kLoadedPairs = 6;

// Output rows of one phase along y.
struct RowsGroup {
  int32_t first_block, blocks;   // of the grid
  int32_t taps, steps;           // of the sum
  int32_t rows;                  // that the phase has
  int32_t origin_y, out_step_y;  // output row = origin_y + row * out_step_y
  int32_t top, left;             // from a tile's first row to the patch's first pixel
  int32_t weights;         // where they start, in bytes
  int16_t place[kMaxTaps]; // of a tap in the patch, in pixels
};

struct RowsArguments {
  Operand in, out;
  const uint8_t* weights;  // as pack_taps makes them, one group after another
  const float* bias;
  RowsGroup groups[kMaxGroups];
  int32_t group_count, images;
  int32_t pitch, row_floats;  // of positions, of rows of the output
  int32_t tile_floats;        // of a row that tiles reach
  int32_t patch_rows, patch_w, patch_bytes, staging_bytes, weight_bytes;
};

// The column of the output that a column of B is. Of 88 columns, lanes of a quad have neighbours, so
// that their stores to rows of 84 hit different banks; of 96, a lane has 4 neighbours.
template <int kColumns>
__host__ __device__ constexpr int column_of(int n) {
  const int b = n / 8, q = n % 8 / 2, e = n % 2;
  return kColumns == 88 ? 8 * b + 4 * e + q : b / 2 * 16 + 4 * q + b % 2 * 2 + e;
}

// What a thread brings of the next patch: pairs of neighbouring channels.
struct Loaded {
  float2 pair[kLoadedRows][kLoadedPairs];
};

__device__ __forceinline__ void fetch(const RowsArguments& args, const RowsGroup& group, int teams,
                                      int image, int y, Loaded& loaded) {
  const int team = static_cast<int>(threadIdx.x) / 128, thread = static_cast<int>(threadIdx.x) % 128;
  const auto* start =
      reinterpret_cast<const float2*>(reinterpret_cast<const float*>(args.in.data) +
                                      image * args.in.image_stride);
  const int pairs = args.patch_w * kPixelPairs, row_pairs = args.in.w * kPixelPairs;
#pragma unroll
  for (int r = 0; r < kLoadedRows; ++r) {
    const int row = team + r * teams, in_y = y + group.top + row;
    const bool exists = row < args.patch_rows && in_y >= 0 && in_y < args.in.h;
#pragma unroll
    for (int i = 0; i < kLoadedPairs; ++i) {
      const int pair = thread + 128 * i, at = pair + group.left * kPixelPairs;
      const bool inside = exists && pair < pairs && at >= 0 && at < row_pairs;
      loaded.pair[r][i] =
          inside ? __ldg(start + in_y * row_pairs + at) : make_float2(0.0f, 0.0f);
    }
  }
}

// Puts it there. What lies behind the channels of a pixel need not be finite.
template <bool kHalf>
__device__ __forceinline__ void put(const RowsArguments& args, int teams, const Loaded& loaded,
                                    char* patch) {
  const int team = static_cast<int>(threadIdx.x) / 128, thread = static_cast<int>(threadIdx.x) % 128;
  const int pairs = args.patch_w * kPixelPairs;
#pragma unroll
  for (int r = 0; r < kLoadedRows; ++r) {
    const int row = team + r * teams;
#pragma unroll
    for (int i = 0; i < kLoadedPairs; ++i) {
      const int pair = thread + 128 * i, channel = pair % kPixelPairs * 2;
      if (row >= args.patch_rows || pair >= pairs) continue;
      const float2 v = loaded.pair[r][i];
      store_pair<kHalf>(patch + row * args.patch_w * kPixelBytes, pair,
                        channel < args.in.c ? v.x : 0.0f, channel + 1 < args.in.c ? v.y : 0.0f);
    }
  }
}

// Sums as rows of the output, `lead` floats from the start of `staged`.
template <int kColumns>
__device__ __forceinline__ void stage(const RowsArguments& args, const float (&sums)[kColumns / 2],
                                      float* staged, int lead) {
  const int thread = static_cast<int>(threadIdx.x) % 128;
  const int q = thread % 4;
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    const int x = thread / 32 * 16 + thread % 32 / 4 + 8 * r;
    if (x * args.pitch >= args.tile_floats) continue;
    float* to = staged + lead + x * args.pitch;
    if constexpr (kColumns == 88) {
#pragma unroll
      for (int b = 0; b < kColumns / 8; ++b) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          const int column = 8 * b + 4 * e + q;
          if (column < args.pitch) to[column] = sums[4 * b + 2 * r + e];
        }
      }
    } else {
#pragma unroll
      for (int b = 0; b < kColumns / 8; b += 2) {
        const int column = 8 * b + 4 * q;
        if (column >= args.pitch) continue;
        *reinterpret_cast<float4*>(to + column) =
            make_float4(sums[4 * b + 2 * r], sums[4 * b + 2 * r + 1], sums[4 * b + 4 + 2 * r],
                        sums[4 * b + 5 + 2 * r]);
      }
    }
  }
}

// A row of the output by a warpgroup.
template <int kColumns>
__device__ __forceinline__ void store_row(const RowsArguments& args, const float (&sums)[kColumns / 2],
                                          float* to, float* staged) {
  const int team = static_cast<int>(threadIdx.x) / 128, thread = static_cast<int>(threadIdx.x) % 128;
  const int lead = static_cast<int>(reinterpret_cast<uintptr_t>(to) / 4 % 4);
  const int floats = min(args.tile_floats, args.row_floats);
  if (thread == 0) ptx::wait_for_reads_of_copies();
  ptx::sync_threads(1 + team, 128);
  stage<kColumns>(args, sums, staged, lead);
  ptx::fence_async_proxy();
  ptx::sync_threads(1 + team, 128);
  const int head = (4 - lead) % 4, body = (floats - head) / 4 * 4;
  if (thread == 0) {
    ptx::copy_out(to + head, ptx::shared_address(staged + lead + head), 4 * body);
  } else if (thread >= 32 && thread < 40) {
    const int end = thread - 32;
    const int i = end < 4 ? end : head + body + end - 4;
    if (end < 4 ? i < head : i < floats) to[i] = staged[lead + i];
  }
}

template <int kColumns, bool kHalf>
__global__ void __launch_bounds__(kMaxTeams * 128, 1)
    hopper_rows(const __grid_constant__ RowsArguments args) {
  extern __shared__ __align__(128) char memory[];
  __shared__ RowsGroup group;
  __shared__ float bias[kColumns];
  const int teams = static_cast<int>(blockDim.x) / 128, team = static_cast<int>(threadIdx.x) / 128;
  const int thread = static_cast<int>(threadIdx.x) % 128;
  int number = 0;
  while (number + 1 < args.group_count &&
         static_cast<int>(blockIdx.x) >= args.groups[number + 1].first_block) {
    ++number;
  }
  if (threadIdx.x == 0) group = args.groups[number];
  const auto* packed = reinterpret_cast<const uint4*>(args.weights + args.groups[number].weights);
  const int weights = args.groups[number].steps * step_bytes(kColumns, kHalf) / 16;
  for (int i = static_cast<int>(threadIdx.x); i < weights; i += static_cast<int>(blockDim.x)) {
    reinterpret_cast<uint4*>(memory)[i] = packed[i];
  }
  if (threadIdx.x < kColumns) {
    const int column = column_of<kColumns>(static_cast<int>(threadIdx.x));
    const int channel = column % static_cast<int>(args.out.pixel_stride);
    bias[threadIdx.x] = args.bias != nullptr && channel < args.out.c ? args.bias[channel] : 0.0f;
  }
  ptx::fence_async_proxy();
  __syncthreads();
  ptx::wait_for_steps_before();

  char* const patches = memory + args.weight_bytes;
  auto* staged = reinterpret_cast<float*>(patches + 2 * args.patch_bytes + team * args.staging_bytes);
  const uint64_t b = core_descriptor(ptx::shared_address(memory));
  // The thread's first position is 16 w + g, the second 8 on; its unit of a pixel is the q-th.
  const int unit = (team * args.patch_w + thread / 32 * 16 + thread % 32 / 4) * 4 + thread % 4;
  const uint32_t lane = ptx::shared_address(patches) + unit * kUnitBytes;

  const int of_image = (group.rows + teams - 1) / teams;
  const int64_t all = int64_t{args.images} * of_image;
  const int64_t block = static_cast<int64_t>(blockIdx.x) - group.first_block;
  const auto end = static_cast<int>(all * (block + 1) / group.blocks);
  const auto first = static_cast<int>(all * block / group.blocks);
  Loaded loaded;
  if (first < end) {
    fetch(args, group, teams, first / of_image, first % of_image * teams, loaded);
    put<kHalf>(args, teams, loaded, patches);
  }
  __syncthreads();
  for (int i = first; i < end; ++i) {
    const int image = i / of_image, y = i % of_image * teams + team;
    const int current = (i - first) % 2;
    const bool more = i + 1 < end;
    if (more) fetch(args, group, teams, (i + 1) / of_image, (i + 1) % of_image * teams, loaded);
    float sums[kColumns / 2];
    if (y < group.rows) {
#pragma unroll
      for (int c = 0; c < kColumns / 2; ++c) {
        sums[c] = bias[c / 4 * 8 + thread % 4 * 2 + c % 2];
      }
      const uint32_t pixel = lane + current * args.patch_bytes;
      multiply_taps<kColumns, kHalf>(sums, group.taps, 8 * kPixelBytes, b, [&](int tap) {
        return pixel + group.place[tap] * kPixelBytes;
      });
    }
    if (more) put<kHalf>(args, teams, loaded, patches + (1 - current) * args.patch_bytes);
    if (y < group.rows) {
      const int64_t out_y = group.origin_y + y * group.out_step_y;
      store_row<kColumns>(args, sums,
                          reinterpret_cast<float*>(args.out.data) +
                              image * args.out.image_stride + out_y * args.row_floats,
                          staged);
    }
    __syncthreads();  // the next patch is there, and this one is read
  }
  ptx::wait_for_copies_out();
}

class HopperRows final : public Gemm {
 public:
  HopperRows(const GemmSpec& spec, const PatchPlan& plan)
      : step_(spec.step), half_(spec.precision == Precision::kFloat16) {
    columns_ = plan.columns <= 88 ? 88 : 96;
    fixed_.pitch = plan.columns;
    fixed_.row_floats = static_cast<int32_t>(step_.out.w * step_.out.pixel_stride);
    fixed_.bias = step_.bias;
    for (const PatchGroup& group : plan.groups) {
      for (int tap = 0; tap < group.k / step_.in.c; ++tap) {
        const Place place = place_of(plan, group, tap);
        span_ = std::max(span_, place.y);
        fixed_.patch_w = std::max(fixed_.patch_w, group.cols + place.x);
      }
      fixed_.tile_floats = std::max(fixed_.tile_floats, group.cols * plan.columns);
    }
    std::vector<uint16_t> packed;
    for (const PatchGroup& group : plan.groups) add_group(plan, group, packed);
    weights_ = upload(packed.data(), static_cast<int64_t>(packed.size()));
    fixed_.weights = reinterpret_cast<const uint8_t*>(weights_.get());
    step_.weight = nullptr;
    step_.phases = nullptr;
    choose_teams();
  }

  // False where shared memory is too small.
  bool ready() const { return teams_ > 0; }

  void run(int64_t images, const Operands& operands, cudaStream_t stream) const override {
    RowsArguments args = fixed_;
    args.in = make_operand(step_.in, operands.in);
    args.out = make_operand(step_.out, operands.out);
    args.images = static_cast<int32_t>(images);
    // Blocks in proportion to the steps of a group's sums, and what a tile takes besides.
    constexpr int kTileSteps = 3;
    int steps = 0;
    for (int g = 0; g < args.group_count; ++g) steps += args.groups[g].steps + kTileSteps;
    int blocks = 0;
    for (int g = 0; g < args.group_count; ++g) {
      RowsGroup& group = args.groups[g];
      const int64_t share = multiprocessors_ * (group.steps + kTileSteps) / steps;
      const int64_t chunks = images * ((group.rows + teams_ - 1) / teams_);
      group.first_block = blocks;
      group.blocks = static_cast<int32_t>(std::clamp<int64_t>(share, 1, chunks));
      blocks += group.blocks;
    }
    with_kernel([&](auto kernel) {
      launch(kernel, dim3(static_cast<unsigned>(blocks)), teams_ * 128,
             static_cast<std::size_t>(shared_bytes_), images, stream, args);
    });
  }

  const char* name() const override { return half_ ? "wgmma rows f16" : "wgmma rows bf16x3"; }

 private:
  // Of a tap in a patch.
  struct Place {
    int y, x;
  };
  Place place_of(const PatchPlan& plan, const PatchGroup& group, int tap) const {
    const auto number = static_cast<std::size_t>(&group - plan.groups.data());
    const int pixel =
        plan.offsets[number * kMaxPatchK + static_cast<std::size_t>(tap * step_.in.c)] / step_.in.c;
    return {pixel / group.patch_w, pixel % group.patch_w};
  }

  void add_group(const PatchPlan& plan, const PatchGroup& from, std::vector<uint16_t>& packed) {
    const int channels = step_.in.c;
    RowsGroup& group = fixed_.groups[fixed_.group_count++];
    group.taps = from.k / channels;
    group.steps = steps_of_taps(group.taps);
    group.rows = from.rows;
    group.origin_y = from.origin_y;
    group.out_step_y = from.out_step_y;
    group.top = from.top;
    group.left = from.left;
    group.weights = static_cast<int32_t>(packed.size() * 2);
    for (int t = 0; t < group.taps; ++t) {
      const Place place = place_of(plan, from, t);
      group.place[t] = static_cast<int16_t>(place.y * fixed_.patch_w + place.x);
    }
    const auto number = static_cast<std::size_t>(&from - plan.groups.data());
    const auto weight = [&](int tap, int element, int n) {
      const int column = columns_ == 88 ? column_of<88>(n) : column_of<96>(n);
      if (column >= plan.columns || element >= channels) return 0.0f;
      const std::size_t row = number * static_cast<std::size_t>(plan.columns) +
                              static_cast<std::size_t>(column);
      const int32_t index =
          plan.weight_index[row * kMaxPatchK + static_cast<std::size_t>(tap * channels + element)];
      return index < 0 ? 0.0f : step_.weight[index];
    };
    const std::vector<uint16_t> of_group = pack_taps(group.taps, columns_, half_, weight);
    fixed_.weight_bytes = std::max(fixed_.weight_bytes, static_cast<int32_t>(of_group.size() * 2));
    packed.insert(packed.end(), of_group.begin(), of_group.end());
  }

  // As many warpgroups as shared memory has room for.
  void choose_teams() {
    int device = 0, most = 0;
    FACEGEN_CUDA_CHECK(cudaGetDevice(&device));
    FACEGEN_CUDA_CHECK(
        cudaDeviceGetAttribute(&multiprocessors_, cudaDevAttrMultiProcessorCount, device));
    FACEGEN_CUDA_CHECK(
        cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
    fixed_.staging_bytes = (4 * fixed_.tile_floats + 16 + 127) / 128 * 128;
    for (int teams = kMaxTeams; teams > 0; --teams) {
      const int patch_rows = teams + span_;
      const int patch_bytes = patch_rows * fixed_.patch_w * kPixelBytes;
      const int bytes =
          fixed_.weight_bytes + 2 * patch_bytes + teams * fixed_.staging_bytes + kPastPatch;
      if (bytes > most - kStaticBytes || patch_rows > kLoadedRows * teams) continue;
      teams_ = teams;
      shared_bytes_ = bytes;
      fixed_.patch_rows = patch_rows;
      fixed_.patch_bytes = patch_bytes;
      with_kernel([&](auto kernel) {
        FACEGEN_CUDA_CHECK(
            cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
      });
      return;
    }
  }

  template <class Function>
  void with_kernel(const Function& function) const {
    if (columns_ == 88) {
      half_ ? function(hopper_rows<88, true>) : function(hopper_rows<88, false>);
    } else {
      half_ ? function(hopper_rows<96, true>) : function(hopper_rows<96, false>);
    }
  }

  static constexpr int kStaticBytes = 1024;                        // group and bias
  static constexpr int kPastPatch = kTilePixels * kPixelBytes;  // read for positions that do not exist

  Step step_;
  bool half_;
  int columns_ = 0, teams_ = 0, span_ = 0, multiprocessors_ = 0, shared_bytes_ = 0;
  RowsArguments fixed_ = {};
  DeviceArray<uint16_t> weights_;
};

bool rows_suit(const GemmSpec& spec, const PatchPlan& plan) {
  const View &in = spec.step.in, &out = spec.step.out;
  const Epilogue& e = spec.step.epilogue;
  const bool vectors = out.pixel_stride % 4 == 0 && out.offset % 4 == 0 &&
                       spec.out.image_stride % 4 == 0;
  const auto group_suits = [&](const PatchGroup& group) {
    const int taps = group.k / in.c;
    const int patch_w = group.cols + group.patch_w - (1 << plan.log2_w);
    return taps <= kMaxTaps && group.cols <= kTilePixels &&
           patch_w * kPixelPairs <= 128 * kLoadedPairs;
  };
  return !plan.groups.empty() && plan.groups.size() <= kMaxGroups && in.c > 16 &&
         in.pixel_stride == kTapElements && in.offset % 2 == 0 && spec.in.image_stride % 2 == 0 &&
         plan.step_y == 1 && plan.step_x == 1 && plan.phases_x > 1 && plan.columns > 64 &&
         (plan.columns <= 88 || vectors) && e.activation == Activation::kNone && !e.scale &&
         !e.shift && spec.prepared.copy.buffer < 0 && spec.in.format == Format::kFloat32 &&
         spec.out.format == Format::kFloat32 &&
         std::all_of(plan.groups.begin(), plan.groups.end(), group_suits);
}

}  // namespace
}  // namespace hopper

std::unique_ptr<Gemm> make_hopper_rows(const GemmSpec& spec) {
  const bool precise =
      spec.precision == Precision::kFloat16 || spec.precision == Precision::kFloat32;
  int device = 0, major = 0;
  FACEGEN_CUDA_CHECK(cudaGetDevice(&device));
  FACEGEN_CUDA_CHECK(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device));
  if (!precise || major != 9) return nullptr;
  const hopper::PatchPlan plan = hopper::plan_patch(spec.step);
  if (!hopper::rows_suit(spec, plan)) return nullptr;
  auto gemm = std::make_unique<hopper::HopperRows>(spec, plan);
  if (!gemm->ready()) return nullptr;
  return gemm;
}

}  // namespace facegen::cuda
