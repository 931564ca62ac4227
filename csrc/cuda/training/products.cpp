#include "cuda/training/products.h"

#include <algorithm>
#include <cstddef>

#include "cuda/hopper/parts/map.h"
#include "cuda/hopper/training/product.h"
#include "cuda/runtime/device.h"
#include "cuda/training/parts.h"
#include "cuda/training/thin_maps.h"
#include "divide_up.h"

namespace facegen::cuda {
namespace {

using hopper::ProductKind;
using hopper::ProductPlan;
using hopper::ProductStep;

constexpr int64_t kLine = 64;  // elements: maps begin at multiples of 128 bytes

int64_t round_up(int64_t elements) { return divide_up(elements, kLine) * kLine; }
int32_t pitch_of(int32_t channels) { return (channels + 7) / 8 * 8; }

bool is_product(const TrainingStep& step) {
  return step.op == TrainingOp::kGemm || step.op == TrainingOp::kWeightGradient;
}

// Of a split map or weight as the copy engine sees it.
View view_of(int32_t h, int32_t w, int32_t c) {
  View view;
  view.h = h;
  view.w = w;
  view.c = c;
  view.pixel_stride = pitch_of(c);
  return view;
}

// As the copy engine sees operands: one plane of 16 bits is as float16's, whatever it means.
Format format_of(hopper::OperandFormat format) {
  return planes_of(format) == 2 ? Format::kSplit : Format::kHalf;
}

int32_t taps_of(const TrainingStep& step) { return step.kernel_h * step.kernel_w; }

}  // namespace

int64_t Products::elements(const OperandMap& map) const { return round_up(planes_of(format_) * map.plane()); }

Products::Products(const TrainingProgram& program, const std::vector<float*>& arrays, int device,
                   ProductKernels kernels, ProductPrecision precision)
    : program_(&program), always_(kernels == ProductKernels::kHopper) {
  if (precision == ProductPrecision::kBfloat16) format_ = hopper::OperandFormat::kBfloat16;
  if (precision == ProductPrecision::kFloat16) format_ = hopper::OperandFormat::kFloat16;
  const DeviceInfo info = find_device(device);
  on_ = info.major == 9 && kernels != ProductKernels::kGeneric;
  multiprocessors_ = info.multiprocessors;
  if (!on_) return;
  int64_t elements = 0;
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    const TrainingStep& s = program.steps[i];
    if (!is_product(s)) continue;
    const ProductStep& product = products_.emplace(i, hopper::lower_product(s, program)).first->second;
    const TrainingGroups& groups = product.groups;
    const WeightKey key = {s.weight, groups.ins};
    if (s.op != TrainingOp::kGemm || groups.count != 1 || operand_weights_.count(key)) continue;
    const int32_t pitch = pitch_of(groups.ins);
    const int64_t lines = int64_t{groups.outs} * taps_of(product.step);
    operand_weights_[key] = {arrays[static_cast<std::size_t>(s.weight)],
                           {nullptr, lines * pitch, pitch, format_}, lines, groups.ins};
    elements += round_up(planes_of(format_) * lines * pitch);
  }
  weights_ = allocate_device<uint16_t>(elements);
  std::vector<OperandLines> lines;
  std::vector<OperandBlock> blocks;
  int64_t offset = 0;
  for (auto& [key, of_weight] : operand_weights_) {
    of_weight.to.to = weights_.get() + offset;
    offset += round_up(planes_of(format_) * of_weight.to.plane);
    for (int64_t run = 0; run < of_weight.to.plane / 8; run += kOperandRuns) {
      blocks.push_back({static_cast<int32_t>(lines.size()), run});
    }
    lines.push_back(of_weight);
  }
  lines_ = upload(lines.data(), static_cast<int64_t>(lines.size()));
  blocks_ = upload(blocks.data(), static_cast<int64_t>(blocks.size()));
}

// Whether a step's kernel can write its output as an operand too.
bool Products::can_make(const Batch& batch, std::size_t step, const OperandMap& map) const {
  if (format_ == hopper::OperandFormat::kFloat16) return false;
  const TrainingStep& s = program_->steps[step];
  if (s.op != TrainingOp::kGemm) return writes_operand(s);
  const auto found = batch.steps.find(step);
  return found != batch.steps.end() && found->second.plan.splits == 1 && map.c % 8 == 0 &&
         !products_.at(step).scatters;
}

OperandTarget Products::target_of(const OperandMap& map, int64_t images) const {
  return {place(map, images), images * map.plane(), map.pitch(), format_};
}

OperandTarget Products::operand_target(std::size_t step, int64_t images) const {
  const auto of_batch = batches_.find(images);
  if (of_batch == batches_.end()) return {};
  const auto found = of_batch->second.made_by.find(step);
  if (found == of_batch->second.made_by.end()) return {};
  return target_of(of_batch->second.maps[found->second], images);
}

Products::Batch Products::make_batch(int64_t images) const {
  Batch made;
  std::map<int32_t, std::size_t> writers;  // by value: the last step that wrote it
  // By value, and by the weight whose taps are gathered or -1: the map of what the value now is.
  std::map<std::pair<int32_t, int32_t>, std::size_t> newest;
  const auto find_map = [&](int32_t value, bool is_gradient, const ProductStep& product, bool gathers,
                            std::size_t step) {
    const auto [found, is_new] =
        newest.emplace(std::pair{value, gathers ? product.step.weight : -1}, made.maps.size());
    if (is_new) {
      const TrainingValue& v = program_->values[static_cast<std::size_t>(value)];
      OperandMap map = {value, is_gradient, {}, v.h, v.w, v.c, step, step};
      if (gathers) {
        map.gather = product.gather;
        map.h = map.gather->y.size, map.w = map.gather->x.size, map.c = map.gather->channels(v.c);
      } else if (const auto writer = writers.find(value);
                 writer != writers.end() && can_make(made, writer->second, map)) {
        map.by_writer = true;
        map.first = writer->second;
        made.made_by[map.first] = made.maps.size();
      }
      made.maps.push_back(map);
    }
    made.maps[found->second].last = step;
    return found->second;
  };
  const auto steps = static_cast<std::size_t>(program_->forward_steps + program_->backward_steps);
  for (std::size_t i = 0; i < steps; ++i) {
    const TrainingStep& s = program_->steps[i];
    if (const auto found = products_.find(i); found != products_.end()) {
      const ProductStep& product = found->second;
      if (const auto plan = hopper::plan_product(product, images, format_, always_)) {
        Operands& operands = made.steps[i];
        operands.plan = *plan;
        const bool gathers = product.gather.has_value();
        const bool of_gradient = plan->kind == ProductKind::kInput;
        operands.a = find_map(s.x, of_gradient, product, gathers && !product.gathers_dy, i);
        if (plan->kind == ProductKind::kWeight) {
          operands.b = find_map(s.dy, true, product, gathers && product.gathers_dy, i);
        }
      }
    }
    const int32_t written = written_value(s);
    if (written < 0) continue;
    writers[written] = i;
    newest.erase(newest.lower_bound({written, -1}), newest.lower_bound({written + 1, -1}));
  }
  // First fit, in the order in which maps are made.
  for (std::size_t i = 0; i < made.maps.size(); ++i) {
    OperandMap& map = made.maps[i];
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t j = 0; j < i; ++j) {
        const OperandMap& other = made.maps[j];
        const bool apart_in_time = other.last < map.first || map.last < other.first;
        const bool apart = other.offset + elements(other) <= map.offset ||
                           map.offset + elements(map) <= other.offset;
        if (apart_in_time || apart) continue;
        map.offset = other.offset + elements(other);
        moved = true;
      }
    }
    made.elements = std::max(made.elements, map.offset + elements(map));
  }
  return made;
}

const Products::Batch& Products::batch(int64_t images) {
  auto found = batches_.find(images);
  if (found == batches_.end()) found = batches_.emplace(images, make_batch(images)).first;
  return found->second;
}

int64_t Products::map_elements(int64_t images, int32_t places) { return places * images * batch(images).elements; }

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
  int64_t most = 0;
  for (const auto& [i, operands] : batch(images).steps) {
    const ProductStep& product = products_.at(i);
    const ProductPlan& plan = operands.plan;
    const TrainingGroups& groups = product.groups;
    int64_t floats = 0;  // of a part
    if (plan.kind == ProductKind::kWeight) {
      floats = int64_t{taps_of(product.step)} * groups.ins * pitch_of(groups.outs);
    } else if (product.scatters) {
      const Phase& phase = product.step.phases[0];
      floats = images * phase.y.out * phase.x.out * hopper::product_channels(product).columns;
    } else if (plan.splits > 1) {
      floats = images * program_->values[static_cast<std::size_t>(product.step.y)].floats();
    }
    most = std::max(most, plan.splits * floats);
  }
  return 4 * most;
}

void Products::enqueue_weights(cudaStream_t stream) const {
  make_operands(lines_.get(), blocks_.get(), blocks_.count(), stream);
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
  const auto found = batches_.find(images);
  return found != batches_.end() && found->second.steps.count(step) > 0;
}

// The map, which the first step that reads it makes.
const Products::OperandMap& Products::make_map(const OperandMap& map, std::size_t step, const TrainingCall& call,
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
  const OperandLines& lines = operand_weights_.at({product.step.weight, groups.ins});
  const Images all = {lines.to.to, lines.to.plane, lines.to.plane, format_of(format_)};
  const bool forward = plan.kind == ProductKind::kForward;
  return hopper::weight_map(view_of(groups.outs, taps_of(product.step), groups.ins), all,
                            forward ? hopper::product_columns(plan.shape) : hopper::kBlock);
}

void Products::scatter(const ProductStep& product, const TrainingCall& call, const ProductPlan& plan,
                       const float* bias) const {
  const TrainingStep& s = call.step;
  const TrainingValue &x = *call.x.value, &y = *call.y.value;
  Scatter all = {};
  all.parts = reinterpret_cast<const float*>(call.scratch);
  all.splits = plan.splits;
  all.h = x.h, all.w = x.w;
  all.columns = hopper::product_channels(product).columns;
  all.part_floats = call.images * x.pixels() * all.columns;
  all.channel_first = plan.kind == ProductKind::kForward;
  all.step_y = s.phases[0].y.out_step, all.step_x = s.phases[0].x.out_step;
  for (auto& line : all.phase_at) std::fill(std::begin(line), std::end(line), int8_t{-1});
  for (std::size_t p = 0; p < s.phases.size(); ++p) {
    const Phase& phase = s.phases[p];
    all.phases[p] = {phase.y, phase.x, s.kernel_w, y.w};
    all.phase_at[phase.y.out_origin][phase.x.out_origin] = static_cast<int8_t>(p);
  }
  all.taps = taps_of(s);
  all.y = call.y.data;
  all.y_h = y.h, all.y_w = y.w, all.channels = y.c;
  all.bias = bias;
  all.activation = s.activation;
  all.alpha = s.alpha;
  all.accumulate = s.accumulate;
  run_scatter(all, call.images, call.stream);
}

bool Products::enqueue(std::size_t step, const TrainingCall& call, const float* bias, float* target) const {
  const Batch& of_batch = batches_.at(call.images);
  const auto found = of_batch.steps.find(step);
  if (found == of_batch.steps.end()) return false;
  const Operands& operands = found->second;
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
  auto* const parts = reinterpret_cast<float*>(call.scratch);
  args.out = parts;
  if (weight) {
    const int32_t lines = taps_of(s) * groups.ins, pitch = pitch_of(groups.outs);
    args.out_pitch = pitch;
    args.part_floats = int64_t{lines} * pitch;
    launch_product(args, multiprocessors_, call.stream);
    add_gradient_parts({parts, plan.splits, lines, groups.outs, pitch, target}, call.stream);
    return true;
  }
  if (product.scatters) {
    args.out_pitch = args.columns;
    args.out_image_floats = int64_t{1} * y.out * x.out * args.columns;
    args.part_floats = call.images * args.out_image_floats;
    launch_product(args, multiprocessors_, call.stream);
    scatter(product, call, plan, bias);
    return true;
  }
  const TrainingValue& made = *call.y.value;
  args.finishes = plan.splits == 1;
  if (args.finishes) args.out = call.y.data;
  args.out_pitch = made.c;
  args.out_image_floats = made.floats();
  args.part_floats = call.images * made.floats();
  args.bias = bias;
  args.activation = s.activation;
  args.alpha = s.alpha;
  args.accumulate = s.accumulate;
  args.operand = call.operand;
  launch_product(args, multiprocessors_, call.stream);
  if (args.finishes) return true;
  add_parts({parts, plan.splits, args.part_floats, call.y.data, made.c, bias, s.activation, s.alpha,
             s.accumulate},
            call.stream);
  return true;
}

}  // namespace facegen::cuda
