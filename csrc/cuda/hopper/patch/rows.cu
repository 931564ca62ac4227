// conv_transpose2d of 17 to 24 channels whose phases along x fill a product (conv13 of
// segmentation: 11x11, stride 4, 21 channels), on Hopper, row by row.
//
// Phases along x read the same input pixels and write side by side: they are the columns of one
// product, and a tile, 64 positions along x, is a row of the output without gaps. Phases along y
// are groups with weights of their own. A block keeps the weights of one group; every warpgroup of
// it walks down the images by itself, a row at a time, so that some multiply while others store:
//
//   patch    a ring of the input rows that a tile reads, in units (fragments.cuh): a tap is one
//            pixel of up to 24 channels. The row that the next tile adds is loaded into registers
//            while this one is multiplied
//   sums     64 positions x up to 96 columns, in registers
//   staging  the sums as they will lie in device memory, from where the copy engine takes them: a row
//            may start anywhere, so its ends, up to 3 floats each, are stored by threads
#include <algorithm>

#include "cuda/fit/patch_plan.h"
#include "cuda/layer.h"
#include "cuda/generic/element.cuh"
#include "cuda/hopper/parts/fragments.cuh"
#include "cuda/hopper/parts/launch.h"
#include "divide_up.h"

namespace facegen::cuda::hopper {
namespace {

constexpr int kMaxTeams = kMaxRowsTeams;
constexpr int kPixelBytes = kRowsPixelBytes, kPixelPairs = kRowsPixelPairs;
constexpr int kMaxTaps = kMaxRowsTaps, kMaxGroups = kMaxRowsGroups, kMaxPairs = kMaxRowsPairs;

// Output rows of one phase along y.
struct RowsGroup {
  int32_t first_block, blocks;   // of the grid
  int32_t taps, steps;           // of the sum
  int32_t rows;                  // that the phase has
  int32_t origin_y, out_step_y;  // output row = origin_y + row * out_step_y
  int32_t top, left;             // from a tile's row to the first that it reads, and to the first pixel
  int32_t weights;               // where they start, in bytes
  int16_t tap_y[kMaxTaps], tap_x[kMaxTaps];  // from that pixel
};

struct RowsArguments {
  Operand in, out;
  const uint8_t* weights;  // as pack_taps makes them, one group after another
  const float* bias;
  RowsGroup groups[kMaxGroups];
  int32_t group_count, images;
  int32_t pitch, row_floats;  // of positions, of rows of the output
  int32_t tile_floats;        // of a row that tiles reach
  int32_t ring_rows, patch_w, patch_bytes, staging_bytes, weight_bytes;
};

// The column of the output that a column of B is. Of 88 columns, lanes of a quad have neighbours,
// so that their stores to rows of 84 hit different banks; of 96, a lane has 4 neighbours.
template <int kColumns>
__host__ __device__ constexpr int column_of(int n) {
  const int b = n / 8, q = n % 8 / 2, e = n % 2;
  return kColumns == 88 ? 8 * b + 4 * e + q : b / 2 * 16 + 4 * q + b % 2 * 2 + e;
}

// A thread's share of a row that a tile reads; `row` from the first that the image's first tile
// does.
__device__ __forceinline__ void fetch(const RowsArguments& args, const RowsGroup& group, int image,
                                      int row, float2 (&pairs)[kMaxPairs]) {
  const int y = group.top + row, row_pairs = args.in.w * kPixelPairs;
  const auto* start =
      reinterpret_cast<const float2*>(reinterpret_cast<const float*>(args.in.data) +
                                      image * args.in.image_stride) + y * row_pairs;
#pragma unroll
  for (int i = 0; i < kMaxPairs; ++i) {
    const int pair = static_cast<int>(threadIdx.x) % kTeamThreads + i * kTeamThreads;
    const int at = pair + group.left * kPixelPairs;
    const bool inside = y >= 0 && y < args.in.h && pair < args.patch_w * kPixelPairs && at >= 0 &&
                        at < row_pairs;
    pairs[i] = inside ? __ldcg(start + at) : make_float2(0.0f, 0.0f);
  }
}

// Puts it into the ring. What lies behind the channels of a pixel need not be finite.
template <bool kHalf>
__device__ __forceinline__ void put(const RowsArguments& args, int row,
                                    const float2 (&pairs)[kMaxPairs], char* patch) {
  char* to = patch + row % args.ring_rows * args.patch_w * kPixelBytes;
#pragma unroll
  for (int i = 0; i < kMaxPairs; ++i) {
    const int pair = static_cast<int>(threadIdx.x) % kTeamThreads + i * kTeamThreads;
    if (pair >= args.patch_w * kPixelPairs) break;
    const int channel = pair % kPixelPairs * 2;
    store_pair<kHalf>(to, pair, channel < args.in.c ? pairs[i].x : 0.0f,
                      channel + 1 < args.in.c ? pairs[i].y : 0.0f);
  }
}

// Sums as rows of the output, `lead` floats from the start of `staged`.
template <int kColumns>
__device__ __forceinline__ void stage(const RowsArguments& args, const float (&sums)[kColumns / 2],
                                      float* staged, int lead) {
  const int thread = static_cast<int>(threadIdx.x) % kTeamThreads;
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

// A row of the output by a warpgroup; also a barrier between what its threads do before and after.
template <int kColumns>
__device__ __forceinline__ void store_row(const RowsArguments& args, const float (&sums)[kColumns / 2],
                                          float* to, float* staged) {
  const int team = static_cast<int>(threadIdx.x) / kTeamThreads;
  const int thread = static_cast<int>(threadIdx.x) % kTeamThreads;
  const int lead = static_cast<int>(reinterpret_cast<uintptr_t>(to) / 4 % 4);
  const int floats = min(args.tile_floats, args.row_floats);
  stage<kColumns>(args, sums, staged, lead);
  ptx::fence_async_proxy();
  ptx::sync_threads(1 + team, kTeamThreads);
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
__global__ void __launch_bounds__(kMaxTeams * kTeamThreads, 1)
    hopper_rows(const __grid_constant__ RowsArguments args) {
  extern __shared__ __align__(128) char memory[];
  __shared__ RowsGroup group;
  __shared__ float bias[kColumns];
  __shared__ uint64_t arrived;  // of the weights
  const int teams = static_cast<int>(blockDim.x) / kTeamThreads;
  const int team = static_cast<int>(threadIdx.x) / kTeamThreads;
  const int thread = static_cast<int>(threadIdx.x) % kTeamThreads;
  int number = 0;
  while (number + 1 < args.group_count &&
         static_cast<int>(blockIdx.x) >= args.groups[number + 1].first_block) {
    ++number;
  }
  if (threadIdx.x == 0) group = args.groups[number];
  if (threadIdx.x < kColumns) {
    const int column = column_of<kColumns>(static_cast<int>(threadIdx.x));
    const int channel = column % static_cast<int>(args.out.pixel_stride);
    bias[threadIdx.x] = args.bias != nullptr && channel < args.out.c ? args.bias[channel] : 0.0f;
  }
  fetch_weights(arrived, memory, args.weights + args.groups[number].weights,
                args.groups[number].steps * step_bytes(kColumns, kHalf));
  ptx::wait_for_steps_before();

  char* const patch = memory + args.weight_bytes + team * (args.patch_bytes + args.staging_bytes);
  auto* staged = reinterpret_cast<float*>(patch + args.patch_bytes);
  const uint32_t b = core_matrices(ptx::shared_address(memory));
  // The thread's first position is 16 w + g, the second 8 on; its unit of a pixel is the q-th.
  const uint32_t lane = ptx::shared_address(patch) +
                        (thread / 32 * 16 + thread % 32 / 4) * kPixelBytes + thread % 4 * kUnitBytes;
  const int row_bytes = args.patch_w * kPixelBytes;

  const int64_t all = int64_t{args.images} * group.rows, workers = int64_t{group.blocks} * teams;
  const int64_t worker = (static_cast<int64_t>(blockIdx.x) - group.first_block) * teams + team;
  const auto first = static_cast<int>(all * worker / workers);
  const auto end = static_cast<int>(all * (worker + 1) / workers);
  float2 pairs[kMaxPairs];
  for (int tile = first; tile < end; ++tile) {
    const int image = tile / group.rows, y = tile % group.rows;
    if (tile == first || y == 0) {
      for (int row = y; row < y + args.ring_rows; ++row) {
        fetch(args, group, image, row, pairs);
        put<kHalf>(args, row, pairs, patch);
      }
      wait_for_weights(arrived);
      ptx::sync_threads(1 + team, kTeamThreads);
    }
    const bool goes_on = tile + 1 < end && y + 1 < group.rows;
    if (goes_on) fetch(args, group, image, y + args.ring_rows, pairs);
    float sums[kColumns / 2];
#pragma unroll
    for (int c = 0; c < kColumns / 2; ++c) sums[c] = bias[c / 4 * 8 + thread % 4 * 2 + c % 2];
    const int slot = y % args.ring_rows;
    multiply_taps<kColumns, kHalf>(sums, group.taps, 8 * kPixelBytes, b, [&](int tap) {
      int row = slot + group.tap_y[tap];
      if (row >= args.ring_rows) row -= args.ring_rows;
      return lane + row * row_bytes + group.tap_x[tap] * kPixelBytes;
    });
    if (thread == 0) ptx::wait_for_reads_of_copies();
    ptx::sync_threads(1 + team, kTeamThreads);  // the patch has been read, and the staged row too
    if (goes_on) put<kHalf>(args, y + args.ring_rows, pairs, patch);
    const int64_t out_y = group.origin_y + y * group.out_step_y;
    store_row<kColumns>(args, sums,
                        reinterpret_cast<float*>(args.out.data) + image * args.out.image_stride +
                            out_y * args.row_floats,
                        staged);
  }
  ptx::wait_for_copies_out();
}

class Rows final : public Layer {
 public:
  explicit Rows(const GemmSpec& spec) : Layer(spec) {
    const PatchPlan plan = plan_patch(spec.step);
    rows_ = plan_rows(plan, step_.in.c, half_);
    fixed_.pitch = plan.columns;
    fixed_.row_floats = static_cast<int32_t>(step_.out.w * step_.out.pixel_stride);
    fixed_.tile_floats = rows_.tile_floats;
    fixed_.ring_rows = rows_.ring_rows;
    fixed_.patch_w = rows_.patch_w;
    fixed_.patch_bytes = rows_.patch_bytes;
    fixed_.staging_bytes = rows_.staging_bytes;
    fixed_.weight_bytes = rows_.weight_bytes;
    fixed_.bias = step_.bias;
    std::vector<uint16_t> packed;
    for (const PatchGroup& group : plan.groups) add_group(plan, group, spec.step.weight, packed);
    fixed_.weights = keep_packed(packed);
  }

  void run(int64_t images, const Operands& operands, cudaStream_t stream) const override {
    RowsArguments args = fixed_;
    bind(args, images, operands);
    // Blocks in proportion to the steps of a group's sums, and what a tile takes besides.
    constexpr int kTileSteps = 3;
    int steps = 0;
    int64_t tiles = 0;
    for (int g = 0; g < args.group_count; ++g) {
      steps += args.groups[g].steps + kTileSteps;
      tiles += images * args.groups[g].rows;
    }
    const int teams = spread_teams(tiles, multiprocessors_, rows_.teams);
    int blocks = 0;
    for (int g = 0; g < args.group_count; ++g) {
      RowsGroup& group = args.groups[g];
      const int64_t share = multiprocessors_ * (group.steps + kTileSteps) / steps;
      group.first_block = blocks;
      group.blocks = static_cast<int32_t>(
          std::clamp<int64_t>(share, 1, divide_up(images * group.rows, teams)));
      blocks += group.blocks;
    }
    launch(kernel(), dim3(static_cast<unsigned>(blocks)), teams * kTeamThreads,
           static_cast<std::size_t>(rows_.shared_bytes(teams)), images, stream, args);
  }

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

  void add_group(const PatchPlan& plan, const PatchGroup& from, const float* weights,
                 std::vector<uint16_t>& packed) {
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
      group.tap_y[t] = static_cast<int16_t>(place.y);
      group.tap_x[t] = static_cast<int16_t>(place.x);
    }
    const auto number = static_cast<std::size_t>(&from - plan.groups.data());
    const auto weight = [&](int tap, int element, int n) {
      const int column = rows_.columns == 88 ? column_of<88>(n) : column_of<96>(n);
      if (column >= plan.columns || element >= channels) return 0.0f;
      const std::size_t row = number * static_cast<std::size_t>(plan.columns) +
                              static_cast<std::size_t>(column);
      const int32_t index =
          plan.weight_index[row * kMaxPatchK + static_cast<std::size_t>(tap * channels + element)];
      return index < 0 ? 0.0f : weights[index];
    };
    const std::vector<uint16_t> of_group = pack_taps(group.taps, rows_.columns, half_, weight);
    packed.insert(packed.end(), of_group.begin(), of_group.end());
  }

  auto kernel() const -> void (*)(RowsArguments) {
    if (rows_.columns == 88) return half_ ? hopper_rows<88, true> : hopper_rows<88, false>;
    return half_ ? hopper_rows<96, true> : hopper_rows<96, false>;
  }

  RowsPlan rows_;
  RowsArguments fixed_ = {};
};

}  // namespace

std::unique_ptr<Gemm> make_rows(const GemmSpec& spec) {
  return std::make_unique<Rows>(spec);
}

}  // namespace facegen::cuda::hopper
