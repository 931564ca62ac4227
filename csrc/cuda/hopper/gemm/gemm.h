// The indirect GEMM on Hopper: what its plan (gemm_plan.h) tells the kernel (gemm.cu),
// and the Gemm that the executable runs.
#pragma once

#include <cuda.h>

#include <map>
#include <memory>
#include <mutex>
#include <vector>

#include "cuda/fit/gemm_plan.h"
#include "cuda/gemm.h"
#include "cuda/operand.h"
#include "cuda/runtime/memory.h"

namespace facegen::cuda {
namespace hopper {

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
  Operand add;  // data is null where there is none
};

// `channels`: of the input.
void launch(const Arguments& arguments, Shape shape, bool half, int channels, int ctas,
            cudaStream_t stream);

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
