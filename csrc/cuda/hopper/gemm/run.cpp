// The indirect GEMM on Hopper as the executable runs it: its constants on the device, a schedule for
// each batch size, a tensor map for each run.
#include <map>
#include <mutex>
#include <utility>

#include "cuda/hopper/gemm/gemm.h"
#include "cuda/hopper/parts/map.h"
#include "cuda/layer.h"

namespace facegen::cuda::hopper {
namespace {

// Modelled cycles of another kernel, which adds the slices of a split plan.
constexpr double kAddSlices = 7000.0;

class IndirectGemm final : public Layer {
 public:
  explicit IndirectGemm(const GemmSpec& spec);
  void run(int64_t images, const Operands& operands, cudaStream_t stream) const override;
  int64_t scratch_floats() const override;
  int slices(int64_t images) const override;

 private:
  // A plan with its constants on the device.
  struct Variant {
    Plan plan;
    bool split = false;
    const uint8_t* weights = nullptr;
    const Tap* taps = nullptr;
    const Group* groups = nullptr;
  };
  // How a batch of some size is run.
  struct Batch {
    const Variant* variant = nullptr;
    Box box;
    int ctas = 0;
    DeviceMemory<Tile> tiles;
    DeviceMemory<int32_t> begin;
  };
  // Made and uploaded when a number of images is first asked for.
  const Batch& batch(int64_t images) const;
  void add_variant(Plan plan, bool split);
  void add_alike(Variant small, Shape shape);

  int out_step_y_ = 1, out_step_x_ = 1;
  std::vector<Variant> variants_;  // the large shape, small, tiny (often split), short
  std::vector<uint16_t> packed_;   // weights of the variant before, while they are made
  Arguments fixed_ = {};           // what depends neither on the batch nor on the variant
  mutable std::mutex mutex_;
  mutable std::map<int64_t, Batch> batches_;
};

IndirectGemm::IndirectGemm(const GemmSpec& spec) : Layer(spec) {
  const Step& step = spec.step;
  for (const Shape shape : {large_shape(step), Shape::kSmall}) {
    add_variant(make_plan(step, shape, half_), false);
  }
  if (!variants_.empty() && variants_.back().plan.shape == Shape::kSmall) {
    const Variant small = variants_.back();
    if (!half_ && step.epilogue.other.buffer < 0) {  // tiny tiles add nothing
      Plan split = make_split_plan(step);
      if (split.groups.empty()) {
        add_alike(small, Shape::kTiny);
      } else {
        add_variant(std::move(split), true);
      }
    }
    add_alike(small, Shape::kShort);
  }
  packed_ = {};
  const Epilogue& epilogue = step.epilogue;
  const Phase& phase = step.phases[0];
  fixed_.bias = step.bias;
  fixed_.scale = epilogue.scale;
  fixed_.shift = epilogue.shift;
  fixed_.in_h = step.in.h;
  fixed_.in_w = step.in.w;
  fixed_.activation = epilogue.activation;
  fixed_.alpha = epilogue.alpha;
  fixed_.beta = epilogue.beta;
  out_step_y_ = phase.y.out_step;
  out_step_x_ = phase.x.out_step;
}

void IndirectGemm::add_variant(Plan plan, bool split) {
  if (plan.groups.empty()) return;
  Variant variant;
  variant.split = split;
  // Small tiles and those of a split plan read the same weights.
  const bool same = !variants_.empty() && plan.weights == packed_;
  variant.weights = same ? variants_.back().weights : keep_packed(plan.weights);
  packed_ = std::move(plan.weights);
  variant.taps = keep(plan.taps);
  variant.groups = keep(plan.groups);
  plan.weights = {};
  variant.plan = std::move(plan);
  variants_.push_back(std::move(variant));
}

// Tiny or short tiles, which read what small ones do.
void IndirectGemm::add_alike(Variant small, Shape shape) {
  small.plan = as_shape(std::move(small.plan), shape);
  if (!small.plan.groups.empty()) variants_.push_back(std::move(small));
}

int64_t IndirectGemm::scratch_floats() const {
  for (const Variant& variant : variants_) {
    const View& out = step_.out;
    if (variant.split) return int64_t{variant.plan.slices} * out.h * out.w * ((out.c + 7) / 8 * 8);
  }
  return 0;
}

const IndirectGemm::Batch& IndirectGemm::batch(int64_t images) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = batches_.find(images);
  if (found != batches_.end()) return found->second;
  Batch batch;
  Schedule best{};
  for (const Variant& variant : variants_) {
    if (variant.split && images > kScratchImages) continue;
    Schedule schedule = make_schedule(variant.plan, static_cast<int>(images), multiprocessors_);
    if (variant.split) schedule.cycles += kAddSlices;
    const bool is_better = variant.plan.shape == Shape::kShort
                               ? schedule.with_epilogues < best.with_epilogues
                               : schedule.cycles < best.cycles;
    if (batch.variant != nullptr && !is_better) continue;
    batch.variant = &variant;
    best = std::move(schedule);
  }
  batch.box = best.box;
  batch.ctas = static_cast<int>(best.begin.size()) - 1;
  batch.tiles = upload(best.tiles.data(), static_cast<int64_t>(best.tiles.size()));
  batch.begin = upload(best.begin.data(), static_cast<int64_t>(best.begin.size()));
  return batches_.emplace(images, std::move(batch)).first->second;
}

int IndirectGemm::slices(int64_t images) const {
  const Variant& variant = *batch(images).variant;
  const Epilogue& e = step_.epilogue;
  const bool plain = !e.scale && e.activation == Activation::kNone;
  return variant.split && plain ? variant.plan.slices : 0;
}

void IndirectGemm::run(int64_t images, const Operands& operands, cudaStream_t stream) const {
  const Batch& of_batch = batch(images);
  const Variant& variant = *of_batch.variant;
  const Plan& plan = variant.plan;
  Arguments arguments = fixed_;
  arguments.weights = variant.weights;
  arguments.taps = variant.taps;
  arguments.groups = variant.groups;
  arguments.tap_count = static_cast<int32_t>(plan.taps.size());
  arguments.step_y = plan.step_y;
  arguments.step_x = plan.step_x;
  arguments.box = of_batch.box;
  Box copied = of_batch.box;
  if (plan.shape == Shape::kTall) {  // in two halves
    if (copied.log2_n > 0) {
      arguments.second_box.n = 1 << --copied.log2_n;
    } else if (copied.log2_h > 0) {
      arguments.second_box.y = plan.step_y << --copied.log2_h;
    } else {
      arguments.second_box.x = plan.step_x << --copied.log2_w;
    }
  }
  while (copied.log2_n > 0 && 1 << (copied.log2_n - 1) >= images) --copied.log2_n;
  arguments.copied_bytes = 128 << (copied.log2_w + copied.log2_h + copied.log2_n);
  arguments.input = input_map(step_.in, operands.in, images, copied, plan.step_y, plan.step_x);
  arguments.tiles = of_batch.tiles.get();
  arguments.tile_begin = of_batch.begin.get();
  arguments.images = static_cast<int32_t>(images);
  // Slices are plain sums: no epilogue.
  int64_t pixel_stride = step_.out.pixel_stride;
  if (variant.split) {
    pixel_stride = (step_.out.c + 7) / 8 * 8;
    arguments.bias = arguments.scale = arguments.shift = nullptr;
    arguments.activation = Activation::kNone;
    arguments.out = operands.scratch;
    arguments.out_format = Format::kFloat32;
    arguments.out_image_stride = scratch_floats();
  } else {
    arguments.out = operands.out.data;
    arguments.out_format = operands.out.format;
    arguments.out_image_stride = operands.out.image_stride;
    arguments.out_plane = operands.out.plane;
  }
  arguments.out_row_stride = pixel_stride * step_.out.w * out_step_y_;
  arguments.out_col_stride = pixel_stride * out_step_x_;
  arguments.add = make_operand(step_.epilogue.other, operands.add);
  launch(arguments, plan.shape, plan.half, step_.in.c, of_batch.ctas, stream);
  if (variant.split && operands.slices == 0) {
    add_slices(step_, plan.slices, images, operands, stream);
  }
}

}  // namespace

std::unique_ptr<Gemm> make_gemm(const GemmSpec& spec) {
  return std::make_unique<IndirectGemm>(spec);
}

}  // namespace facegen::cuda::hopper
