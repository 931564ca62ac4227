// What the kernels of a fire module's expands share: the patch of the map, and their products.
//
// The map has 16 to 48 channels, of which boxes of 64 (gemm.cu) would be mostly padding.
// Without swizzle, wgmma reads A as blocks of 8 rows (pixels) x 8 places (channels), 16 bytes a row,
// at any multiple of 16 bytes and any distance from each other. So a patch that has for each 8
// channels the pixels side by side is A of every tap, without being moved:
//
//   patch   the rows that a tile reads, a ring; (hi or lo, 8 channels, row, pixel) -> 8 channels
//   tap     (dy, dx) starts dy rows and dx pixels further
//   tile    up to 64 pixels, whole rows: blocks of 8 pixels, of which a warp has two. Rows of a tile
//           must lie in order, so a ring's first rows lie behind its last once more
//   B       stays in shared memory for the kernel's life (pack_pair)
#pragma once

#include <algorithm>

#include "cuda/fit/divide.h"
#include "cuda/fit/expand_plan.h"
#include "cuda/layer.h"
#include "cuda/hopper/parts/fragments.cuh"
#include "cuda/hopper/parts/launch.h"
#include "cuda/hopper/parts/output.cuh"
#include "divide_up.h"

namespace facegen::cuda::hopper {

struct ExpandArguments {
  Operand in;
  Output to;  // of the expands; its place is where the kernel stores, be it what follows them
  const uint8_t* weights;  // by pair, as pack_pair makes them, and what a kernel adds
  const ChannelPair* channels;  // by pair
  int32_t images, weight_bytes;
  PatchShape patch;
};

// 8 channels of a pixel.
struct Item {
  uint4 hi, lo;
};

__device__ inline int team_thread() { return static_cast<int>(threadIdx.x) % kTeamThreads; }
__device__ inline int team_warp() { return team_thread() / 32; }

// A thread's share of `count` rows of the map; the row above the map is number 0.
template <bool kHalf, int kItems>
__device__ __forceinline__ void fetch(const ExpandArguments& args, int image, int first, int count,
                                      Item (&items)[kItems]) {
  const int eights = args.in.c / 8, row_items = (args.in.w + 2) * eights;
  const auto* start = reinterpret_cast<const uint4*>(args.in.data) +
                      image * args.in.image_stride / 8;
#pragma unroll
  for (int i = 0; i < kItems; ++i) {
    items[i] = {};  // also where it is not used: else its registers count as used all the time
    if (i * kTeamThreads >= count * row_items) continue;
    const int at = team_thread() + i * kTeamThreads;
    const int row = divide(at, args.patch.per_row), along = at - row * row_items - eights;
    const int y = first + row - 1;
    const bool inside = row < count && y >= 0 && y < args.in.h && along >= 0 &&
                        along < args.in.w * eights;
    if (!inside) continue;
    const auto* from = start + y * args.in.w * eights + along;
    items[i].hi = __ldcg(from);
    if constexpr (!kHalf) items[i].lo = __ldcg(from + args.in.plane / 8);
  }
}

// Puts them into the patch.
template <bool kHalf, int kItems>
__device__ __forceinline__ void put(const ExpandArguments& args, int first, int count,
                                    const Item (&items)[kItems], char* patch) {
  const PatchShape& shape = args.patch;
  const int eights = args.in.c / 8, row_items = (args.in.w + 2) * eights;
  const int first_slot = first % shape.ring_rows;
#pragma unroll
  for (int i = 0; i < kItems; ++i) {
    const int at = team_thread() + i * kTeamThreads;
    const int row = divide(at, shape.per_row), along = at - row * row_items;
    if (row >= count) continue;
    const int pixel = divide(along, shape.per_pixel), eight = along - pixel * eights;
    int slot = first_slot + row;
    if (slot >= shape.ring_rows) slot -= shape.ring_rows;
    char* to = patch + eight * shape.eight_bytes + slot * shape.row_bytes + pixel * kExpandPixelBytes;
    for (int copy = 0; copy < 2; ++copy) {
      *reinterpret_cast<uint4*>(to) = items[i].hi;
      if constexpr (!kHalf) *reinterpret_cast<uint4*>(to + shape.plane_bytes) = items[i].lo;
      if (slot >= shape.tile_rows - 1) break;
      to += shape.ring_rows * shape.row_bytes;
    }
  }
  ptx::fence_async_proxy();
}

// The rows that the first tile of an image, or of a worker, reads.
template <bool kHalf>
__device__ __forceinline__ void start_patch(const ExpandArguments& args, int image, int first,
                                            char* patch) {
  const int rows = args.patch.tile_rows + 2;
#pragma unroll 1
  for (int row = 0; row < rows; row += args.patch.start_rows) {
    const int count = min(args.patch.start_rows, rows - row);
    Item items[kStartItems];
    fetch<kHalf>(args, image, first + row, count, items);
    put<kHalf>(args, first + row, count, items, patch);
  }
}

// Descriptors of A: the lower half says where it lies, and that the next 8 channels are eight_bytes
// further; the upper one how far the next 8 pixels of A are.
__device__ inline uint32_t find_a(const PatchShape& shape, const char* patch) {
  return static_cast<uint32_t>(shape.eight_bytes >> 4) << 16 |
         (ptx::shared_address(patch) & 0x3FFFF) >> 4;
}

template <int kPixels>
__device__ inline uint64_t a_descriptor(uint32_t a) {
  return uint64_t{kPixels * kExpandPixelBytes >> 4} << 32 | a;
}

// A step of 16 places, of hi * hi, lo * hi and hi * lo each.
template <bool kHalf, int kPixels>
__device__ __forceinline__ void multiply_step(float (&sums)[kExpandColumns / 2], uint32_t a,
                                              uint32_t a_lo, uint32_t b) {
  constexpr int kPlane = kExpandColumns * 32 >> 4;
  ptx::wgmma<kExpandColumns, kHalf>(sums, a_descriptor<kPixels>(a), core_descriptor(b));
  if constexpr (!kHalf) {
    ptx::wgmma<kExpandColumns, kHalf>(sums, a_descriptor<kPixels>(a_lo), core_descriptor(b));
    ptx::wgmma<kExpandColumns, kHalf>(sums, a_descriptor<kPixels>(a), core_descriptor(b + kPlane));
  }
}

// sums += the products of the 3x3 convolution; `row`: the tile's first of the output, which reads
// the rows from the same number on. Of A, blocks of 8 pixels are kPixels apart.
template <bool kHalf, int kPixels = 8>
__device__ __forceinline__ void multiply_large(float (&sums)[kExpandColumns / 2],
                                               const ExpandArguments& args, uint32_t a, int row,
                                               uint32_t b) {
  constexpr int kStep = step_bytes(kExpandColumns, kHalf) >> 4;
  const PatchShape& shape = args.patch;
  const int blocks = args.in.c / 16;
  int slot = row % shape.ring_rows;
#pragma unroll 1  // else the compiler puts the products one after another
  for (int dy = 0; dy < 3; ++dy) {
    uint32_t at = a + (slot * shape.row_bytes >> 4);
#pragma unroll 1
    for (int block = 0; block < blocks; ++block) {
      ptx::wgmma_fence();
#pragma unroll
      for (int dx = 0; dx < 3; ++dx) {
        multiply_step<kHalf, kPixels>(sums, at + dx, at + (shape.plane_bytes >> 4) + dx,
                                      b + dx * kStep);
      }
      ptx::wgmma_commit();
      ptx::wgmma_wait<1>();
      b += 3 * kStep;
      at += 2 * shape.eight_bytes >> 4;
    }
    slot = slot + 1 == shape.ring_rows ? 0 : slot + 1;
  }
  ptx::wgmma_wait<0>();
}

// The same of the 1x1 convolution, with the same `b`.
template <bool kHalf, int kPixels = 8>
__device__ __forceinline__ void multiply_one(float (&sums)[kExpandColumns / 2],
                                             const ExpandArguments& args, uint32_t a, int row,
                                             uint32_t b) {
  constexpr int kStep = step_bytes(kExpandColumns, kHalf) >> 4;
  const PatchShape& shape = args.patch;
  const int blocks = args.in.c / 16;
  b += 9 * blocks * kStep;
  uint32_t at = a + ((row + 1) % shape.ring_rows * shape.row_bytes >> 4) + 1;
#pragma unroll 1
  for (int block = 0; block < blocks; ++block) {
    ptx::wgmma_fence();
    multiply_step<kHalf, kPixels>(sums, at, at + (shape.plane_bytes >> 4), b);
    ptx::wgmma_commit();
    ptx::wgmma_wait<1>();
    b += kStep;
    at += 2 * shape.eight_bytes >> 4;
  }
  ptx::wgmma_wait<0>();
}

// A warpgroup's share of `all` pieces of work, which it does in order.
struct Share {
  int first, end;
  __device__ Share(int64_t all, int64_t worker, int64_t workers)
      : first(static_cast<int>(all * worker / workers)),
        end(static_cast<int>(all * (worker + 1) / workers)) {}
};

// What they share on the host.
class ExpandLayer : public Layer {
 protected:
  // `more`: packed weights behind those of each pair. `spare` as for make_patch.
  ExpandLayer(const GemmSpec& spec, const std::vector<uint16_t>& more, bool spare);

  ExpandArguments arguments(int64_t images, const Operands& operands) const;

  // `pieces` of work, shared out among warpgroups.
  template <class Kernel, class Arguments>
  void launch_pieces(Kernel kernel, int64_t pieces, int64_t images, cudaStream_t stream,
                     const Arguments& args) const {
    const int64_t at_once = blocks_at_once();
    const int teams = spread_teams(pieces, at_once, teams_);
    launch_blocks(kernel, std::min(at_once, divide_up(pieces, teams)), teams, 0, images, stream,
                  args);
  }

  // For each pair of 64 channels. `more_bytes` of shared memory lie behind the patches.
  template <class Kernel, class Arguments>
  void launch_blocks(Kernel kernel, int64_t blocks, int teams, int more_bytes, int64_t images,
                     cudaStream_t stream, const Arguments& args) const {
    launch(kernel, dim3(static_cast<unsigned>(blocks), static_cast<unsigned>(groups_)),
           teams * kTeamThreads,
           static_cast<std::size_t>(shared_bytes(teams) + more_bytes), images, stream, args);
  }

  // Of each pair.
  int64_t blocks_at_once() const { return std::max(multiprocessors_ / groups_, 1); }
  int shared_bytes(int teams) const {
    return fixed_.weight_bytes + teams * fixed_.patch.bytes + kPastPatches;
  }

 private:
  int teams_ = 0, groups_ = 0;
  ExpandArguments fixed_ = {};
};

}  // namespace facegen::cuda::hopper
