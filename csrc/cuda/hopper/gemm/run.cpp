// The Hopper kernel as a Gemm: its constants on the device, a schedule for each batch size, a
// tensor map for each run.
#include "cuda/hopper/gemm/gemm.h"
#include "cuda/hopper/parts/map.h"

namespace facegen::cuda {
namespace {

// Modelled cycles of another kernel, which adds the slices of a split plan.
constexpr double kAddSlices = 7000.0;

}  // namespace

HopperGemm::HopperGemm(const GemmSpec& spec)
    : step_(spec.step), in_(step_.in), out_(step_.out), add_(step_.epilogue.add) {
  multiprocessors_ = spec.multiprocessors;
  const bool half = spec.in.format == Format::kHalf;
  for (const hopper::Shape shape : {hopper::large_shape(spec.step), hopper::Shape::kSmall}) {
    add_variant(hopper::make_plan(step_, shape, half), false);
  }
  if (!half && add_.buffer < 0 && !variants_.empty()) {  // tiny tiles add nothing
    hopper::Plan split = hopper::make_split_plan(step_);
    const bool stretches = !split.groups.empty();
    add_variant(stretches ? std::move(split) : hopper::make_plan(step_, hopper::Shape::kTiny, half),
                stretches);
  }
  packed_ = {};
  const Epilogue& epilogue = spec.step.epilogue;
  const Phase& phase = spec.step.phases[0];
  fixed_.bias = spec.step.bias;
  fixed_.scale = epilogue.scale;
  fixed_.shift = epilogue.shift;
  fixed_.in_h = in_.h;
  fixed_.in_w = in_.w;
  fixed_.activation = epilogue.activation;
  fixed_.slope = epilogue.slope;
  out_step_y_ = phase.y.out_step;
  out_step_x_ = phase.x.out_step;
  step_.weight = nullptr;
  step_.phases = nullptr;
}

void HopperGemm::add_variant(hopper::Plan plan, bool split) {
  if (plan.groups.empty()) return;
  Variant variant;
  variant.split = split;
  // Small and tiny tiles read the same weights.
  if (!variants_.empty() && plan.weights == packed_) {
    variant.weights = variants_.back().weights;
  } else {
    variant.weights = std::make_shared<DeviceArray<uint16_t>>(
        upload(plan.weights.data(), static_cast<int64_t>(plan.weights.size())));
  }
  packed_ = std::move(plan.weights);
  variant.taps = upload(plan.taps.data(), static_cast<int64_t>(plan.taps.size()));
  variant.groups = upload(plan.groups.data(), static_cast<int64_t>(plan.groups.size()));
  plan.weights = {};
  variant.plan = std::move(plan);
  variants_.push_back(std::move(variant));
}

int64_t HopperGemm::scratch_floats() const {
  if (!variants_.back().split) return 0;
  return int64_t{variants_.back().plan.slices} * out_.h * out_.w * ((out_.c + 7) / 8 * 8);
}

const HopperGemm::Batch& HopperGemm::batch(int64_t images) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = batches_.find(images);
  if (found != batches_.end()) return found->second;
  Batch batch;
  hopper::Schedule best;
  for (const Variant& variant : variants_) {
    if (variant.split && images > kScratchImages) continue;
    hopper::Schedule schedule =
        hopper::make_schedule(variant.plan, static_cast<int>(images), multiprocessors_);
    if (variant.split) schedule.cycles += kAddSlices;
    if (batch.variant != nullptr && schedule.cycles >= best.cycles) continue;
    batch.variant = &variant;
    best = std::move(schedule);
  }
  batch.box = best.box;
  batch.ctas = static_cast<int>(best.begin.size()) - 1;
  batch.tiles = upload(best.tiles.data(), static_cast<int64_t>(best.tiles.size()));
  batch.begin = upload(best.begin.data(), static_cast<int64_t>(best.begin.size()));
  return batches_.emplace(images, std::move(batch)).first->second;
}

int HopperGemm::slices(int64_t images) const {
  const Variant& variant = *batch(images).variant;
  const Epilogue& e = step_.epilogue;
  const bool plain = !e.scale && e.activation == Activation::kNone;
  return variant.split && plain ? variant.plan.slices : 0;
}

void HopperGemm::run(int64_t images, const Operands& operands, cudaStream_t stream) const {
  const Batch& of_batch = batch(images);
  const Variant& variant = *of_batch.variant;
  const hopper::Plan& plan = variant.plan;
  hopper::Arguments arguments = fixed_;
  arguments.weights = reinterpret_cast<const uint8_t*>(variant.weights->get());
  arguments.taps = variant.taps.get();
  arguments.groups = variant.groups.get();
  arguments.tap_count = static_cast<int32_t>(plan.taps.size());
  arguments.step_y = plan.step_y;
  arguments.step_x = plan.step_x;
  arguments.box = of_batch.box;
  hopper::Box copied = of_batch.box;
  if (plan.shape == hopper::Shape::kTall) {  // in two halves
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
  arguments.input = hopper::input_map(in_, operands.in, images, copied, plan.step_y, plan.step_x);
  arguments.tiles = of_batch.tiles.get();
  arguments.tile_begin = of_batch.begin.get();
  arguments.images = static_cast<int32_t>(images);
  // Slices are plain sums: no epilogue.
  int64_t pixel_stride = out_.pixel_stride;
  if (variant.split) {
    pixel_stride = (out_.c + 7) / 8 * 8;
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
  arguments.out_row_stride = pixel_stride * out_.w * out_step_y_;
  arguments.out_col_stride = pixel_stride * out_step_x_;
  arguments.add = make_operand(add_, operands.add);
  hopper::launch(arguments, plan.shape, plan.half, in_.c, of_batch.ctas, stream);
  if (variant.split && operands.slices == 0) {
    hopper::add_slices(step_, plan.slices, images, operands, stream);
  }
}

std::unique_ptr<Gemm> make_hopper_gemm(const GemmSpec& spec) {
  return std::make_unique<HopperGemm>(spec);
}

}  // namespace facegen::cuda
