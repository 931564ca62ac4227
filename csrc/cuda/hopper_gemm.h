// The indirect GEMM on Hopper: what the planner (hopper_plan.cpp) tells the kernel
// (hopper_gemm.cu), and the Gemm that the executable runs.
#pragma once

#include <cuda.h>

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "cuda/gemm.h"
#include "cuda/hopper_map.h"
#include "cuda/memory.h"
#include "cuda/operand.h"

namespace facegen::cuda {
namespace hopper {

constexpr int kMaxBlocks = 4;  // of 64 columns in a tile

// Output pixels x columns of a tile.
enum class Shape {
  kWide,   // 128 x 256
  kTall,   // 256 x 128
  kSmall,  // 128 x 64: where a batch has too few large tiles for all multiprocessors
  kTiny,   // 64 x 64, float32: where it has too few small ones
};
constexpr int tile_rows(Shape shape) {
  return shape == Shape::kTall ? 256 : shape == Shape::kTiny ? 64 : 128;
}
constexpr int tile_blocks(Shape shape) {
  return shape == Shape::kWide ? 4 : shape == Shape::kTall ? 2 : 1;
}
constexpr int kMaxTaps = 240;  // entries of the tap table in shared memory

// One input offset of a column group, and some of its channels.
struct Tap {
  int8_t dy, dx;                // input position = output position * step + (dy, dx)
  uint8_t blocks;               // it adds to the first blocks * 64 columns
  bool promotes;                // a stretch of the sum ends before it (see Plan)
  uint16_t first_block, end_block;  // of 64 channels
  uint32_t weights_kib;         // where its packed weights start
};

// 64 columns of a group: which output channels of which phase they are.
struct Columns {
  int64_t offset;      // elements from the output's first pixel to the phase's first, plus channel
  int32_t rows, cols;  // output size of the phase
  int32_t channel;     // the first
  int32_t valid;       // channels that exist, 0 to 64
};

// The columns of a tile, and the taps that they need.
struct Group {
  int32_t first_tap = 0, tap_count = 0;
  int32_t weights_kib = 0;  // of all its taps, which lie one after another
  Columns columns[kMaxBlocks] = {};
};

// The columns of a tile, and its output pixels: a box that starts here.
struct Tile {
  int32_t x, y, n, group;
};

struct Position {
  int32_t x, y, n;
};

// The kernel's argument.
struct Arguments {
  CUtensorMap input;       // (plane, n, y, x, c)
  const uint8_t* weights;  // per group, tap, block of channels: hi (columns, 64), lo (columns, 64)
  const float *bias, *scale, *shift;  // (channels) or null
  const Tap* taps;
  const Group* groups;
  const Tile* tiles;
  const int32_t* tile_begin;  // (CTAs + 1): the tiles of each CTA
  int32_t tap_count;
  int32_t in_h, in_w, step_y, step_x;
  Box box;
  int32_t copied_bytes;  // of a plane of a copied box: fewer rows where there are few images
  Position second_box;  // input position of a tall tile's second half, relative to its first
  int32_t images;
  Activation activation;
  float slope;
  Format out_format;
  void* out;
  // In elements. Row and column: from an output pixel of a phase to its next.
  int64_t out_image_stride, out_row_stride, out_col_stride, out_plane;
  Operand add;  // small tiles alone; data is null where there is none
};

// `channels`: of the input.
void launch(const Arguments& arguments, Shape shape, bool half, int channels, int ctas,
            cudaStream_t stream);

// A layer's groups, taps and packed weights.
//
// wgmma rounds its sums towards zero, and the error grows with their length. So a long sum is cut
// into stretches that are added up in float32: rows of taps, or where these are long, some taps of
// a row, or some channels of a tap. Where it is cut depends on the layer alone.
struct Plan {
  Shape shape = Shape::kWide;
  bool half = false;
  int step_y = 1, step_x = 1;
  int in_h = 0, in_w = 0;
  std::vector<Tap> taps;
  std::vector<Group> groups;
  std::vector<uint16_t> weights;
  int slices = 1;  // of a split plan: stretches
};

// Whether the kernel can run the step at all (its formats apart).
bool suits(const Step& step);
// The shape for large batches.
Shape large_shape(const Step& step);
// Empty groups where the taps would not fit the table.
Plan make_plan(const Step& step, Shape shape, bool half);
// Of tiny tiles that have one stretch each: where a batch has few tiles, more multiprocessors share
// them. They write their sums to scratch, (image, slice, y, x, channel) with channels padded to a
// multiple of 8; add_slices makes the output of them. The bits are those of the other plans. Without
// groups where there is only one stretch.
Plan make_split_plan(const Step& step);

// The tiles of a batch, cut into one list for each multiprocessor.
struct Schedule {
  Box box;
  std::vector<Tile> tiles;
  std::vector<int32_t> begin;
  double cycles = 0.0;  // of the longest list, as modelled
};
Schedule make_schedule(const Plan& plan, int images, int multiprocessors);

// The output of a step from the slices of its split plan.
void add_slices(const Step& step, int slices, int64_t images, const Operands& operands,
                cudaStream_t stream);

}  // namespace hopper

class HopperGemm final : public Gemm {
 public:
  explicit HopperGemm(const GemmSpec& spec);
  void run(int64_t images, const Operands& operands, cudaStream_t stream) const override;
  int64_t scratch_floats() const override;
  int slices(int64_t images) const override;
  const char* name() const override;
  // False where no shape can hold the layer's taps.
  bool ready() const { return !variants_.empty(); }

 private:
  // A plan with its constants on the device.
  struct Variant {
    hopper::Plan plan;
    bool split = false;
    std::shared_ptr<DeviceArray<uint16_t>> weights;
    DeviceArray<hopper::Tap> taps;
    DeviceArray<hopper::Group> groups;
  };
  // How a batch of some size is run.
  struct Batch {
    const Variant* variant = nullptr;
    hopper::Box box;
    int ctas = 0;
    DeviceArray<hopper::Tile> tiles;
    DeviceArray<int32_t> begin;
  };
  // Made and uploaded when a number of images is first asked for.
  const Batch& batch(int64_t images) const;
  void add_variant(hopper::Plan plan, bool split);

  Step step_;
  View in_, out_, add_;
  int out_step_y_ = 1, out_step_x_ = 1;
  int multiprocessors_ = 0;
  std::vector<Variant> variants_;   // the large shape, the small one, the tiny one (often split)
  std::vector<uint16_t> packed_;    // weights of the variant before, while they are made
  hopper::Arguments fixed_ = {};   // what depends neither on the batch nor on the variant
  mutable std::mutex mutex_;
  mutable std::map<int64_t, Batch> batches_;
};

}  // namespace facegen::cuda
