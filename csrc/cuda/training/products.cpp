#include "cuda/training/products.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>

#include "cuda/hopper/parts/map.h"
#include "cuda/hopper/training/product_boxes.h"
#include "cuda/runtime/device.h"
#include "cuda/training/parts.h"
#include "cuda/training/phase_maps.h"
#include "cuda/training/thin_maps.h"

namespace facegen::cuda {
namespace {

using hopper::ProductKind;
using hopper::ProductPlan;
using hopper::ProductStep;

// Of a map or weight as the copy engine sees it.
View view_of(int32_t h, int32_t w, int32_t c) {
  View view;
  view.h = h;
  view.w = w;
  view.c = c;
  view.pixel_stride = hopper::operand_pitch(c);
  return view;
}

// As the copy engine sees operands: one plane of 16 bits is as float16's, whatever it means.
Format format_of(hopper::OperandFormat format) {
  return planes_of(format) == 2 ? Format::kSplit : Format::kHalf;
}

}  // namespace

Products::Products(const TrainingProgram& program, const std::vector<float*>& arrays, int device,
                   ProductKernels kernels, ProductPrecision precision)
    : program_(&program), always_(kernels == ProductKernels::kHopper) {
  if (precision == ProductPrecision::kBfloat16) format_ = hopper::OperandFormat::kBfloat16;
  if (precision == ProductPrecision::kFloat16) format_ = hopper::OperandFormat::kFloat16;
  const DeviceInfo info = find_device(device);
  on_ = info.major == 9 && kernels != ProductKernels::kGeneric;
  multiprocessors_ = info.multiprocessors;
  if (!on_) return;
  products_ = hopper::lower_products(program);
  int64_t elements = 0;
  for (const auto& [i, product] : products_) {
    const TrainingGroups& groups = product.groups;
    const hopper::OperandWeight weight = hopper::weight_of(product);
    if (product.step.op != TrainingOp::kGemm || groups.count != 1 || operand_weights_.count(weight)) continue;
    const int32_t pitch = hopper::operand_pitch(groups.ins);
    const int64_t lines = int64_t{groups.outs} * hopper::taps_of(product.step);
    operand_weights_[weight] = {arrays[static_cast<std::size_t>(weight.array)],
                                {nullptr, lines * pitch, pitch, format_}, lines, groups.ins};
    if (product.phases) phases_[weight] = *product.phases;
    elements += hopper::operand_elements(format_, lines * pitch);
  }
  weights_ = allocate_device<uint16_t>(elements);
  std::vector<OperandLines> lines;
  int64_t offset = 0;
  for (auto& [key, of_weight] : operand_weights_) {
    of_weight.to.to = weights_.get() + offset;
    offset += hopper::operand_elements(format_, of_weight.to.plane);
    lines.push_back(of_weight);
  }
  lines_ = upload(lines.data(), static_cast<int64_t>(lines.size()));
}

OperandTarget Products::target_of(const OperandMap& map, int64_t images) const {
  return {place(map, images), images * map.plane(), map.pitch(), format_};
}

const hopper::OperandPlan* Products::plan_of(int64_t images) const {
  const auto found = batches_.find(images);
  return found == batches_.end() ? nullptr : &found->second.plan;
}

OperandTarget Products::operand_target(std::size_t step, int64_t images) const {
  const hopper::OperandPlan* const plan = plan_of(images);
  if (plan == nullptr || plan->made_by.count(step) == 0) return {};
  const OperandMap& map = plan->maps[plan->made_by.at(step)];
  OperandTarget target = target_of(map, images);
  target.alone = map.alone && !writes_all_;
  return target;
}

bool Products::is_done(std::size_t step, int64_t images) const {
  const hopper::OperandPlan* const plan = plan_of(images);
  return plan != nullptr && plan->is_done(step);
}

const TrainingStep* Products::gate_of(std::size_t step, int64_t images) const {
  const hopper::OperandPlan* const plan = plan_of(images);
  const auto gate = plan == nullptr ? std::nullopt : plan->gate_of(step);
  return gate ? &program_->steps[*gate] : nullptr;
}

const TrainingStep* Products::sum_of(std::size_t step, int64_t images) const {
  const hopper::OperandPlan* const plan = plan_of(images);
  if (plan == nullptr || plan->fused.sums.count(step) == 0) return nullptr;
  return &program_->steps[plan->fused.sums.at(step)];
}

const Products::Batch& Products::batch(int64_t images) {
  if (const auto found = batches_.find(images); found != batches_.end()) return found->second;
  Batch made = {hopper::plan_operands(*program_, products_, images, format_, always_), {}};
  std::vector<OperandBlock> blocks;
  int32_t number = 0;
  for (const auto& [key, of_weight] : operand_weights_) {
    const bool as_it_lies = made.plan.weights.count(key) > 0 && !key.of_phases;
    const int64_t runs = as_it_lies ? of_weight.to.plane / 8 : 0;
    for (int64_t run = 0; run < runs; run += kOperandRuns) blocks.push_back({number, run});
    ++number;
  }
  made.weight_blocks = upload(blocks.data(), static_cast<int64_t>(blocks.size()));
  return batches_.emplace(images, std::move(made)).first->second;
}

int64_t Products::map_elements(int64_t images, int32_t places) { return places * images * batch(images).plan.elements; }

int64_t Products::largest_count(int32_t places) const {
  if (format_ != hopper::OperandFormat::kFloat16) return 0;
  return places * static_cast<int64_t>(program_->values.size());
}

int64_t Products::missing_bytes(int64_t images, int32_t places) {
  const int64_t elements = map_elements(images, places), largest = largest_count(places);
  if (elements <= maps_.count() && largest <= largest_.count()) return 0;
  return 2 * elements + 4 * largest;
}

void Products::reserve(int64_t images, int32_t places) {
  maps_ = allocate_device<uint16_t>(map_elements(images, places));
  largest_ = allocate_device<float>(largest_count(places));
}

int64_t Products::scratch_bytes(int64_t images) {
  return 4 * hopper::product_scratch_floats(*program_, products_, batch(images).plan, images);
}

void Products::enqueue_weights(int64_t images, cudaStream_t stream) const {
  const Batch& batch = batches_.at(images);
  make_operands(lines_.get(), batch.weight_blocks.get(), batch.weight_blocks.count(), stream);
  for (const auto& [key, phases] : phases_) {
    if (batch.plan.weights.count(key) == 0) continue;
    const OperandLines& of_weight = operand_weights_.at(key);
    make_phase_weight(phases, of_weight.from, of_weight.to, stream);
  }
}

const char* Products::name() const {
  switch (format_) {
    case hopper::OperandFormat::kSplit: return "wgmma bf16x3";
    case hopper::OperandFormat::kBfloat16: return "wgmma bf16";
    case hopper::OperandFormat::kFloat16: return "wgmma fp16";
  }
  return "";
}

bool Products::does(std::size_t step, int64_t images) const {
  const hopper::OperandPlan* const plan = plan_of(images);
  return plan != nullptr && plan->products.count(step) > 0;
}

// The map, which the first step that reads it makes, unless the one that writes it has.
const hopper::OperandMap& Products::make_map(const OperandMap& map, std::size_t step, const TrainingCall& call,
                                             const TrainingMap& from) const {
  if (map.by_writer || map.first != step) return map;
  const int64_t lines = call.images * map.h * map.w;
  OperandTarget to = target_of(map, call.images);
  if (is_scaled(map)) {
    to.largest = largest(map);
    find_largest(from.data, call.images * from.value->floats(), largest(map), call.stream);
  }
  if (map.gather) {
    run_gather(from, *map.gather, call.images, to, call.stream);
  } else {
    make_operand({from.data, to, lines, map.c}, call.stream);
  }
  return map;
}

CUtensorMap Products::see_map(const OperandMap& map, int64_t images, hopper::Box box, int step_y,
                              int step_x) const {
  const Images all = {place(map, images), map.plane(), images * map.plane(), format_of(format_)};
  return hopper::input_map(view_of(map.h, map.w, map.c), all, images, box, step_y, step_x);
}

CUtensorMap Products::see_weight(const ProductStep& product, const ProductPlan& plan) const {
  const TrainingGroups& groups = product.groups;
  const OperandLines& lines = operand_weights_.at(hopper::weight_of(product));
  const Images all = {lines.to.to, lines.to.plane, lines.to.plane, format_of(format_)};
  const bool forward = plan.kind == ProductKind::kForward;
  return hopper::weight_map(view_of(groups.outs, hopper::taps_of(product.step), groups.ins), all,
                            forward ? hopper::product_columns(plan.shape) : hopper::kBlockChannels);
}

void Products::scatter(const ProductStep& product, const TrainingCall& call, const ProductPlan& plan,
                       const float* bias) const {
  if (product.phases) return finish_phases(product, call, plan, bias);
  const TrainingStep& s = call.step;
  const TrainingValue &x = *call.x.value, &y = *call.y.value;
  Scatter all = scatter_to(call, bias);
  all.parts = reinterpret_cast<const float*>(call.scratch);
  all.splits = plan.splits;
  all.h = x.h, all.w = x.w;
  all.columns = static_cast<int32_t>(hopper::part_pitch(hopper::product_channels(product).columns));
  all.part_floats = call.images * x.pixels() * all.columns;
  all.channel_first = plan.kind == ProductKind::kForward;
  all.step_y = s.phases[0].y.out_step, all.step_x = s.phases[0].x.out_step;
  for (auto& line : all.phase_at) std::fill(std::begin(line), std::end(line), int8_t{-1});
  for (std::size_t p = 0; p < s.phases.size(); ++p) {
    const Phase& phase = s.phases[p];
    all.phases[p] = {phase.y, phase.x, s.kernel_w, y.w};
    all.phase_at[phase.y.out_origin][phase.x.out_origin] = static_cast<int8_t>(p);
  }
  all.taps = hopper::taps_of(s);
  run_scatter(all, call.images, call.stream);
}

bool Products::enqueue(std::size_t step, const TrainingCall& call, const float* bias, float* target) const {
  const hopper::OperandPlan& of_batch = batches_.at(call.images).plan;
  const auto found = of_batch.products.find(step);
  if (found == of_batch.products.end()) return false;
  const hopper::PlannedProduct& operands = found->second;
  const ProductPlan& plan = operands.plan;
  const ProductStep& product = products_.at(step);
  const TrainingStep& s = product.step;
  const TrainingGroups& groups = product.groups;
  const bool weight = plan.kind == ProductKind::kWeight;
  const Axis &y = s.phases[0].y, &x = s.phases[0].x;

  hopper::ProductArguments args = {};
  args.plan = plan;
  const OperandMap& a = make_map(of_batch.maps[operands.a], step, call, call.x);
  args.a = see_map(a, call.images, plan.box, y.step, x.step);
  args.a_h = a.h, args.a_w = a.w;
  if (is_scaled(a)) args.largest = largest(a);
  int32_t made_w = 0;
  if (weight) {
    const OperandMap& b = make_map(of_batch.maps[operands.b], step, call, call.dy);
    args.b = see_map(b, call.images, plan.box, y.out_step, x.out_step);
    if (is_scaled(b)) args.largest = largest(b);
  } else {
    args.b = see_weight(product, plan);
    made_w = product.scatters ? x.out : call.y.value->w;
  }
  for (std::size_t p = 0; p < s.phases.size(); ++p) {
    args.phases[p] = {s.phases[p].y, s.phases[p].x, s.kernel_w, made_w};
  }
  args.images = static_cast<int32_t>(call.images);
  args.columns = hopper::product_channels(product).columns;
  args.channels = groups.ins;
  args.out_pitch = static_cast<int32_t>(hopper::part_pitch(args.columns));
  auto* const parts = reinterpret_cast<float*>(call.scratch);
  args.out = parts;
  if (weight) {
    const int32_t lines = hopper::taps_of(s) * groups.ins;
    args.part_floats = int64_t{lines} * args.out_pitch;
    see_boxes(args);
    launch_product(args, multiprocessors_, call.stream);
    if (product.phases) {
      add_phase_gradient_parts({*product.phases, parts, plan.splits, args.out_pitch, target}, call.stream);
    } else {
      add_gradient_parts({parts, plan.splits, lines, groups.outs, args.out_pitch, target}, call.stream);
    }
    return true;
  }
  if (product.scatters) {
    args.is_plain = true;
    args.out_image_floats = int64_t{1} * y.out * x.out * args.out_pitch;
    args.part_floats = call.images * args.out_image_floats;
    see_boxes(args);
    launch_product(args, multiprocessors_, call.stream);
    scatter(product, call, plan, bias);
    return true;
  }
  const TrainingValue& made = *call.y.value;
  args.out_image_floats = made.pixels() * args.out_pitch;
  args.part_floats = call.images * args.out_image_floats;
  if (plan.finishes) {
    args.out = call.y.data;
    args.bias = bias;
    args.activation = s.activation;
    args.alpha = s.alpha;
    args.accumulate = s.accumulate;
    args.operand = call.operand;
    if (call.gate != nullptr) args.gate = call.gate_map.data;
    if (call.gate != nullptr) args.gate_slope = call.gate->activation == Activation::kRelu ? 0.0f : call.gate->alpha;
  }
  args.is_plain = args.bias == nullptr && args.activation == Activation::kNone && !args.accumulate &&
                  args.gate == nullptr && args.operand.to == nullptr;
  see_boxes(args);
  launch_product(args, multiprocessors_, call.stream);
  if (plan.finishes) return true;
  add_parts({parts, plan.splits, args.part_floats, args.out_pitch, call.y.data, made.c, bias, s.activation, s.alpha,
             s.accumulate},
            call.stream);
  return true;
}

}  // namespace facegen::cuda
