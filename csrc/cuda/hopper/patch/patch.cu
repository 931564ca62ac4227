// conv2d and conv_transpose2d of few input channels on Hopper: first layers of 1 or 3 channels, and
// all others whose whole sum (taps x channels) is at most 192 long.
//
// The copy engine brings 64 channels of a pixel at a time, which would be nearly all padding. Here
// threads build the rows of A themselves, from a patch of the input in shared memory:
//
//   patch   input pixels that 64 outputs read, each value once, as (hi, lo) or float16 in 32 bits;
//           loaded into registers while the tile before is multiplied
//   A       64 output pixels x k, hi | lo           k = (tap, channel), in blocks of 64, swizzled
//   B       columns x k, hi | lo                    packed at load; stays for the kernel's life
//   sums    64 x columns in float32                 in A's place, for stores of whole lines
//
// Columns are output channels. Of a transposed convolution, phases along x are columns side by
// side: they read the same patch and write the same lines.
//
// A block has one or two teams of two warpgroups, with an A and a patch each; they take tiles in turn
// and only share B, so that one builds while the other multiplies. Each warpgroup of a team
// multiplies half of the columns. The order of every sum is that of k, whatever the batch.
#include "cuda/fit/patch_plan.h"

#include <algorithm>

#include "cuda/fit/divide.h"
#include "cuda/fit/split.h"
#include "cuda/layer.h"
#include "cuda/hopper/parts/launch.h"
#include "cuda/hopper/parts/ptx.cuh"
#include "cuda/hopper/parts/wgmma.cuh"
#include "cuda/hopper/patch/patch_store.cuh"
#include "divide_up.h"

namespace facegen::cuda::hopper {
namespace {

// Elements of a patch that a thread loads at most.
constexpr int kFewElements = 4, kManyElements = kMaxPatchElements / kPatchThreads;
// Teams of a block: where patches are small, so are the weights, and blocks of one team serve better.
constexpr int count_teams(int elements) { return elements == kFewElements ? 1 : 2; }
constexpr int kBlockPlaces = 64;  // of k: 128 bytes, one swizzled row
constexpr int kBlockBytes = kPatchRows * 128;

int work_bytes(int blocks, int planes, int columns) {
  const int a = blocks * planes * kBlockBytes;
  const int sums = kPatchRows * (columns + 8) * 4;
  return (std::max(a, sums) + 1023) / 1024 * 1024;
}

// A value as the patch holds it.
template <bool kHalf>
__device__ inline uint32_t encode(float x) {
  if constexpr (kHalf) {
    return __half_as_ushort(__float2half_rn(x));
  } else {
    __nv_bfloat16 hi, lo;
    split(x, hi, lo);
    return __bfloat16_as_ushort(hi) | uint32_t{__bfloat16_as_ushort(lo)} << 16;
  }
}

__device__ inline PatchTile find_tile(const PatchArguments& args, const PatchGroup& group, int number) {
  const int of_image = group.tiles_y * group.tiles_x;
  const int image = number / of_image, rest = number - image * of_image;
  return {image, rest / group.tiles_x * (kPatchRows >> args.log2_w),
          rest % group.tiles_x << args.log2_w};
}

// The elements of a patch that a thread loads: the same places of every tile.
template <int kMaxElements>
struct Elements {
  float value[kMaxElements];
  int count;
  int place[kMaxElements];  // from the patch's first element, in the input
  int pixel[kMaxElements];  // y << 16 | x, from the patch's first pixel

  __device__ Elements(const PatchArguments& args, const PatchGroup& group, int thread) {
    const int row_elements = group.patch_w * args.in.c;
    const int left = group.patch_h * row_elements - thread;
    count = left <= 0 ? 0 : (left + kPatchThreads - 1) / kPatchThreads;
#pragma unroll
    for (int i = 0; i < kMaxElements; ++i) {
      const int e = thread + i * kPatchThreads;
      const int y = divide(e, group.reciprocal), along = e - y * row_elements;
      const int x = args.in.c == 1 ? along : divide(along, args.reciprocal);
      const int stride = static_cast<int>(args.in.pixel_stride);
      place[i] = (y * args.in.w + x) * stride + along - x * args.in.c;
      pixel[i] = y << 16 | x;
    }
  }
};

// Loads this thread's elements of a tile's patch; zeros outside the input.
template <int kMaxElements>
__device__ void fetch_patch(const PatchArguments& args, const PatchGroup& group, const PatchTile& tile,
                            Elements<kMaxElements>& elements) {
  const int y0 = tile.y * args.step_y + group.top, x0 = tile.x * args.step_x + group.left;
  const auto* start = reinterpret_cast<const float*>(args.in.data) +
                      tile.image * args.in.image_stride +
                      (int64_t{y0} * args.in.w + x0) * args.in.pixel_stride;
  const auto height = static_cast<unsigned>(args.in.h), width = static_cast<unsigned>(args.in.w);
#pragma unroll
  for (int i = 0; i < kMaxElements; ++i) {
    const bool inside = i < elements.count &&
                        static_cast<unsigned>(y0 + (elements.pixel[i] >> 16)) < height &&
                        static_cast<unsigned>(x0 + (elements.pixel[i] & 0xFFFF)) < width;
    elements.value[i] = inside ? start[elements.place[i]] : 0.0f;
  }
}

// Puts them into the patch.
template <bool kHalf, int kMaxElements>
__device__ void store_patch(const Elements<kMaxElements>& elements, int thread, uint32_t* patch) {
#pragma unroll
  for (int i = 0; i < kMaxElements; ++i) {
    if (i < elements.count) patch[thread + i * kPatchThreads] = encode<kHalf>(elements.value[i]);
  }
}

// Rows of A: a thread builds every fourth 8 elements of k of one pixel.
template <bool kHalf>
__device__ void build_rows(const PatchArguments& args, const PatchGroup& group, int k_steps, int thread,
                           const uint32_t* patch, const int16_t* offsets, char* a) {
  constexpr int kPlanes = kHalf ? 1 : 2;
  const int row = thread % kPatchRows;
  const int y = row >> args.log2_w, x = row & ((1 << args.log2_w) - 1);
  const uint32_t* pixel =
      patch + (y * args.step_y * group.patch_w + x * args.step_x) * args.in.c;
#pragma unroll 2
  for (int eight = thread / kPatchRows; eight < 2 * k_steps; eight += kPatchThreads / kPatchRows) {
    const int4 places = *reinterpret_cast<const int4*>(offsets + 8 * eight);
    const int pairs[4] = {places.x, places.y, places.z, places.w};
    uint32_t hi[4], lo[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const uint32_t first = pixel[pairs[i] & 0xFFFF], second = pixel[pairs[i] >> 16];
      hi[i] = __byte_perm(first, second, 0x5410);
      lo[i] = __byte_perm(first, second, 0x7632);
    }
    char* to = a + eight / 8 * kPlanes * kBlockBytes + row * 128 + ((eight % 8) ^ (row % 8)) * 16;
    *reinterpret_cast<uint4*>(to) = make_uint4(hi[0], hi[1], hi[2], hi[3]);
    if constexpr (!kHalf) {
      *reinterpret_cast<uint4*>(to + kBlockBytes) = make_uint4(lo[0], lo[1], lo[2], lo[3]);
    }
  }
}

template <int kColumns, bool kHalf, int kMaxElements>
__global__ void __launch_bounds__(kPatchThreads * (kMaxElements == kFewElements ? 1 : 2))
    hopper_patch(const __grid_constant__ PatchArguments args) {
  extern __shared__ __align__(1024) char memory[];
  constexpr int kPlanes = kHalf ? 1 : 2;
  constexpr int kTeams = kMaxElements == kFewElements ? 1 : 2;
  constexpr int kThreads = kTeams * kPatchThreads;
  constexpr int kWeightBytes = kColumns * 128;  // of a block of k and a plane
  const int weight_bytes = args.blocks * kPlanes * kWeightBytes;
  constexpr int kHalfColumns = kColumns / 2;  // of a warpgroup
  const int team = static_cast<int>(threadIdx.x) / kPatchThreads;
  const int thread = static_cast<int>(threadIdx.x) % kPatchThreads;
  const int warpgroup = thread / 128;
  char* work = memory + weight_bytes + team * args.work_bytes;
  char* after = memory + weight_bytes + kTeams * args.work_bytes;
  auto* offsets = reinterpret_cast<int16_t*>(after);
  auto* patch = reinterpret_cast<uint32_t*>(after + kMaxPatchK * 2) + team * args.patch_elements;
  const PatchGroup group = args.groups[blockIdx.y];

  const auto* packed =
      reinterpret_cast<const uint4*>(args.weights + int64_t{blockIdx.y} * weight_bytes);
  for (int i = static_cast<int>(threadIdx.x); i < weight_bytes / 16; i += kThreads) {
    reinterpret_cast<uint4*>(memory)[i] = packed[i];
  }
  for (int i = static_cast<int>(threadIdx.x); i < kMaxPatchK; i += kThreads) {
    offsets[i] = args.offsets[static_cast<int>(blockIdx.y) * kMaxPatchK + i];
  }
  ptx::fence_async_proxy();
  __syncthreads();
  ptx::wait_for_steps_before();

  const auto sync_team = [team] { ptx::sync_threads(1 + team, kPatchThreads); };
  const int k_steps = (group.k + 15) / 16;
  const int tiles = args.images * group.tiles_y * group.tiles_x;
  const uint64_t a_start = ptx::tile_descriptor(ptx::shared_address(work));
  const uint64_t b_start =
      ptx::tile_descriptor(ptx::shared_address(memory) + warpgroup * kHalfColumns * 128);
  auto* staged = reinterpret_cast<float*>(work);
  const int stride = static_cast<int>(gridDim.x) * kTeams;
  int number = static_cast<int>(blockIdx.x) * kTeams + team;
  Elements<kMaxElements> elements(args, group, thread);
  PatchTile next = find_tile(args, group, number);
  if (number < tiles) fetch_patch(args, group, next, elements);
  for (; number < tiles; number += stride) {
    const PatchTile tile = next;
    store_patch<kHalf>(elements, thread, patch);
    sync_team();  // also: the sums of the tile before have been stored
    build_rows<kHalf>(args, group, k_steps, thread, patch, offsets, work);
    ptx::fence_async_proxy();
    sync_team();
    next = find_tile(args, group, number + stride);
    if (number + stride < tiles) fetch_patch(args, group, next, elements);

    float sums[kHalfColumns / 2] = {};
    ptx::wgmma_fence();
#pragma unroll 1  // else the compiler puts the products one after another
    for (int k = 0; k < k_steps; ++k) {
      const uint64_t a = a_start + (k / 4 * kPlanes * kBlockBytes >> 4) + 2 * (k % 4);
      const uint64_t b = b_start + (k / 4 * kPlanes * kWeightBytes >> 4) + 2 * (k % 4);
      ptx::wgmma<kHalfColumns, kHalf>(sums, a, b);
      if constexpr (!kHalf) {
        ptx::wgmma<kHalfColumns, kHalf>(sums, a + (kBlockBytes >> 4), b);
        ptx::wgmma<kHalfColumns, kHalf>(sums, a, b + (kWeightBytes >> 4));
      }
    }
    ptx::wgmma_commit();
    ptx::wgmma_wait<0>();
    sync_team();  // A has been read by all warps
    const int row = thread % 128 / 32 * 16 + thread % 32 / 4;
    float* to = staged + row * kSumsPitch<kColumns> + warpgroup * kHalfColumns + 2 * (thread % 4);
#pragma unroll
    for (int c = 0; c < kHalfColumns / 8; ++c) {
      *reinterpret_cast<float2*>(to + 8 * c) = make_float2(sums[4 * c], sums[4 * c + 1]);
      *reinterpret_cast<float2*>(to + 8 * kSumsPitch<kColumns> + 8 * c) =
          make_float2(sums[4 * c + 2], sums[4 * c + 3]);
    }
    sync_team();
    if (args.vectors && args.out.format == Format::kFloat32 && args.copy.data == nullptr) {
      store_floats<kColumns>(args, group, tile, thread, staged);
    } else if (args.vectors) {
      store_vectors<kColumns>(args, group, tile, thread, staged);
    } else {
      store_single<kColumns>(args, group, tile, thread, staged);
    }
  }
}

// B of all groups, as the kernel reads it.
std::vector<uint16_t> pack(const PatchPlan& plan, const float* weight, int blocks, int columns,
                           bool half) {
  const int planes = half ? 1 : 2;
  std::vector<uint16_t> packed(plan.groups.size() * static_cast<std::size_t>(blocks) * planes *
                               columns * kBlockPlaces);
  for (std::size_t g = 0; g < plan.groups.size(); ++g) {
    for (int column = 0; column < plan.columns; ++column) {
      for (int k = 0; k < plan.groups[g].k; ++k) {
        const int32_t index =
            plan.weight_index[(g * plan.columns + column) * kMaxPatchK + static_cast<std::size_t>(k)];
        if (index < 0) continue;
        const std::size_t block = g * blocks + k / kBlockPlaces;
        const int in_block = k % kBlockPlaces;
        uint16_t* to = packed.data() + block * planes * columns * kBlockPlaces + column * kBlockPlaces +
                       ((in_block / 8) ^ (column % 8)) * 8 + in_block % 8;
        const float value = weight[index];
        *to = half ? half_bits(value) : bfloat16_bits(value);
        if (!half) to[columns * kBlockPlaces] = bfloat16_bits(value - bfloat16_value(*to));
      }
    }
  }
  return packed;
}

class Patch final : public Layer {
 public:
  explicit Patch(const GemmSpec& spec) : Layer(spec) {
    const PatchPlan plan = plan_patch(spec.step);
    columns_ = plan.columns <= 64 ? 64 : kMaxPatchColumns;
    groups_ = static_cast<int>(plan.groups.size());
    int longest = 0;
    for (const PatchGroup& group : plan.groups) {
      longest = std::max(longest, group.k);
      image_tiles_ = std::max(image_tiles_, group.tiles_y * group.tiles_x);
    }
    const int blocks = divide_up(longest, kBlockPlaces), planes = half_ ? 1 : 2;
    fixed_.copy_relu = step_.copy_relu;
    fixed_.vectors = patch_in_vectors(spec);
    fixed_.weights = keep_packed(pack(plan, spec.step.weight, blocks, columns_, half_));
    fixed_.offsets = keep(plan.offsets);
    fixed_.groups = keep(plan.groups);
    fixed_.step_y = plan.step_y;
    fixed_.step_x = plan.step_x;
    fixed_.log2_w = plan.log2_w;
    fixed_.phases_x = plan.phases_x;
    fixed_.columns = plan.columns;
    fixed_.pitch = plan.columns / plan.phases_x;
    fixed_.blocks = blocks;
    fixed_.work_bytes = work_bytes(blocks, planes, columns_);
    fixed_.patch_elements = plan.patch_elements;
    fixed_.reciprocal = reciprocal(step_.in.c);
    elements_ = plan.patch_elements <= kFewElements * kPatchThreads ? kFewElements : kManyElements;
    teams_ = count_teams(elements_);
    shared_bytes_ = blocks * planes * columns_ * 128 +
                    teams_ * (fixed_.work_bytes + 4 * fixed_.patch_elements) + 2 * kMaxPatchK;
    blocks_ = multiprocessors_ *
              blocks_a_multiprocessor(kernel(), teams_ * kPatchThreads, shared_bytes_);
  }

  void run(int64_t images, const Operands& operands, cudaStream_t stream) const override {
    PatchArguments args = fixed_;
    bind(args, images, operands);
    args.copy = make_operand(step_.copy, operands.copy);
    args.epilogue = make_epilogue(step_, {});
    // As many blocks as run at once, shared by the groups.
    const int64_t at_once = std::max(blocks_ / groups_, 1);
    const int64_t needed = divide_up(images * image_tiles_, teams_);
    const dim3 grid(static_cast<unsigned>(std::min(at_once, needed)),
                    static_cast<unsigned>(groups_));
    launch(kernel(), grid, teams_ * kPatchThreads, static_cast<std::size_t>(shared_bytes_), images,
           stream, args);
  }

 private:
  using Kernel = void (*)(PatchArguments);

  template <int kColumns>
  Kernel of_columns() const {
    if (elements_ == kFewElements) {
      return half_ ? hopper_patch<kColumns, true, kFewElements>
                   : hopper_patch<kColumns, false, kFewElements>;
    }
    return half_ ? hopper_patch<kColumns, true, kManyElements>
                 : hopper_patch<kColumns, false, kManyElements>;
  }

  Kernel kernel() const {
    return columns_ == 64 ? of_columns<64>() : of_columns<kMaxPatchColumns>();
  }

  int columns_ = 0, elements_ = 0, teams_ = 0, groups_ = 0;
  int image_tiles_ = 1;  // of the group that has the most
  int shared_bytes_ = 0, blocks_ = 0;
  PatchArguments fixed_ = {};
};

}  // namespace

std::unique_ptr<Gemm> make_patch(const GemmSpec& spec) {
  return std::make_unique<Patch>(spec);
}

}  // namespace facegen::cuda::hopper
