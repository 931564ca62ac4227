#include "cuda/training/products.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "cuda/hopper/parts/map.h"
#include "cuda/hopper/training/product.h"
#include "cuda/runtime/device.h"
#include "cuda/training/parts.h"
#include "divide_up.h"

namespace facegen::cuda {
namespace {

using hopper::ProductKind;
using hopper::ProductPlan;

constexpr int64_t kLine = 64;  // elements: maps begin at multiples of 128 bytes

int32_t pitch_of(int32_t channels) { return (channels + 7) / 8 * 8; }
int64_t plane_of(const TrainingValue& value) { return value.pixels() * pitch_of(value.c); }

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

}  // namespace

Products::Products(const TrainingProgram& program, const std::vector<float*>& arrays, int device,
                   ProductKernels kernels)
    : program_(&program), always_(kernels == ProductKernels::kHopper) {
  const DeviceInfo info = find_device(device);
  on_ = info.major == 9 && kernels != ProductKernels::kGeneric;
  multiprocessors_ = info.multiprocessors;
  if (!on_) return;
  int64_t elements = 0;
  for (const TrainingStep& s : program.steps) {
    if (s.op != TrainingOp::kGemm || s.part.groups != 0 || split_weights_.count(s.weight)) continue;
    const TrainingGroups groups = groups_of(s, program);
    const int32_t pitch = pitch_of(groups.ins);
    const int64_t lines = int64_t{groups.outs} * s.kernel_h * s.kernel_w;
    split_weights_[s.weight] = {arrays[static_cast<std::size_t>(s.weight)], nullptr, lines * pitch, lines,
                                groups.ins, pitch};
    elements += divide_up(2 * lines * pitch, kLine) * kLine;
  }
  weights_ = allocate_device<uint16_t>(elements);
  std::vector<SplitLines> lines;
  std::vector<SplitBlock> blocks;
  int64_t offset = 0;
  for (auto& [array, of_array] : split_weights_) {
    of_array.to = weights_.get() + offset;
    offset += divide_up(2 * of_array.plane, kLine) * kLine;
    for (int64_t run = 0; run < of_array.plane / 8; run += kSplitRuns) {
      blocks.push_back({static_cast<int32_t>(lines.size()), run});
    }
    lines.push_back(of_array);
  }
  lines_ = upload(lines.data(), static_cast<int64_t>(lines.size()));
  blocks_ = upload(blocks.data(), static_cast<int64_t>(blocks.size()));
}

Products::Batch Products::make_batch(int64_t images) const {
  Batch made;
  if (!on_) return made;
  // By value: the step that wrote it last, and the split map of what it then was.
  std::map<int32_t, std::size_t> newest;
  const auto find_map = [&](int32_t value, std::size_t step) {
    const auto found = newest.find(value);
    if (found != newest.end()) {
      made.maps[found->second].last = step;
      return static_cast<int32_t>(found->second);
    }
    const TrainingValue& v = program_->values[static_cast<std::size_t>(value)];
    newest[value] = made.maps.size();
    made.maps.push_back({value, step, step, divide_up(2 * plane_of(v), kLine) * kLine});
    return static_cast<int32_t>(made.maps.size() - 1);
  };
  const auto steps = static_cast<std::size_t>(program_->forward_steps + program_->backward_steps);
  for (std::size_t i = 0; i < steps; ++i) {
    const TrainingStep& s = program_->steps[i];
    if (is_product(s)) {
      if (const auto plan = hopper::plan_product(s, groups_of(s, *program_), images, always_)) {
        Operands& operands = made.steps[i];
        operands.plan = *plan;
        operands.a = find_map(s.x, i);
        if (plan->kind == ProductKind::kWeight) operands.b = find_map(s.dy, i);
      }
    }
    for (const int32_t written : {s.y, s.dx}) newest.erase(written);
  }
  // First fit, in the order in which maps are made.
  for (std::size_t i = 0; i < made.maps.size(); ++i) {
    SplitMap& map = made.maps[i];
    for (bool moved = true; moved;) {
      moved = false;
      for (std::size_t j = 0; j < i; ++j) {
        const SplitMap& other = made.maps[j];
        if (other.last < map.first || other.offset + other.elements <= map.offset ||
            map.offset + map.elements <= other.offset) {
          continue;
        }
        map.offset = other.offset + other.elements;
        moved = true;
      }
    }
    made.elements = std::max(made.elements, map.offset + map.elements);
  }
  return made;
}

const Products::Batch& Products::batch(int64_t images) {
  auto found = batches_.find(images);
  if (found == batches_.end()) {
    constexpr std::size_t kMostBatches = 64;
    if (batches_.size() >= kMostBatches) batches_.clear();
    found = batches_.emplace(images, make_batch(images)).first;
  }
  return found->second;
}

bool Products::reserve(int64_t images, int32_t places) {
  const int64_t elements = places * images * batch(images).elements;
  if (elements <= maps_.count()) return false;
  maps_ = {};
  maps_ = allocate_device<uint16_t>(elements);
  return true;
}

int64_t Products::scratch_bytes(int64_t images) {
  int64_t most = 0;
  for (const auto& [i, operands] : batch(images).steps) {
    const TrainingStep& s = program_->steps[i];
    const int64_t output =
        s.y < 0 ? 0 : images * program_->values[static_cast<std::size_t>(s.y)].floats();
    most = std::max(most, hopper::product_part_floats(operands.plan, s, groups_of(s, *program_), output));
  }
  return 4 * most;
}

void Products::enqueue_weights(cudaStream_t stream) const {
  run_split_arrays(lines_.get(), blocks_.get(), blocks_.count(), stream);
}

bool Products::does(std::size_t step, int64_t images) const {
  const auto found = batches_.find(images);
  return found != batches_.end() && found->second.steps.count(step) > 0;
}

void Products::split(const SplitMap& map, const TrainingCall& call, const TrainingMap& from) const {
  const int32_t pitch = pitch_of(from.value->c);
  const int64_t lines = call.images * from.value->pixels();
  run_split({from.data, place(map, call.images), lines * pitch, lines, from.value->c, pitch}, call.stream);
}

bool Products::enqueue(std::size_t step, const TrainingCall& call, const float* bias, float* target) const {
  if (!does(step, call.images)) return false;
  const Batch& of_batch = batches_.at(call.images);
  const Operands& operands = of_batch.steps.at(step);
  const ProductPlan& plan = operands.plan;
  const TrainingStep& s = call.step;
  const bool weight = plan.kind == ProductKind::kWeight;
  const TrainingGroups groups = groups_of(s, *program_);

  const auto map_of = [&](int32_t number, const TrainingMap& from, int step_y, int step_x) {
    const SplitMap& map = of_batch.maps[static_cast<std::size_t>(number)];
    if (map.first == step) split(map, call, from);
    const TrainingValue& v = *from.value;
    const Images images = {place(map, call.images), plane_of(v), call.images * plane_of(v), Format::kSplit};
    return hopper::input_map(view_of(v.h, v.w, v.c), images, call.images, plan.box, step_y, step_x);
  };
  const Axis &y = s.phases[0].y, &x = s.phases[0].x;
  hopper::ProductArguments args = {};
  args.plan = plan;
  args.a = map_of(operands.a, call.x, y.step, x.step);
  const TrainingMap& made = weight ? call.dy : call.y;
  for (std::size_t p = 0; p < s.phases.size(); ++p) {
    args.phases[p] = {s.phases[p].y, s.phases[p].x, s.kernel_w, made.value->w};
  }
  if (weight) {
    args.b = map_of(operands.b, call.dy, y.out_step, x.out_step);
  } else {
    const SplitLines& lines = split_weights_.at(s.weight);
    const int32_t taps = s.kernel_h * s.kernel_w;
    const Images all = {lines.to, lines.plane, lines.plane, Format::kSplit};
    const bool forward = plan.kind == ProductKind::kForward;
    args.b = hopper::weight_map(view_of(groups.outs, taps, groups.ins), all,
                                forward ? hopper::product_columns(plan.shape) : hopper::kBlock);
  }
  args.images = static_cast<int32_t>(call.images);
  args.a_h = call.x.value->h;
  args.a_w = call.x.value->w;
  args.columns = hopper::product_channels(s, groups).columns;
  args.channels = groups.ins;
  auto* const parts = reinterpret_cast<float*>(call.scratch);
  if (weight) {
    const int32_t lines = s.kernel_h * s.kernel_w * groups.ins, pitch = pitch_of(groups.outs);
    args.out = parts;
    args.out_pitch = pitch;
    args.part_floats = int64_t{lines} * pitch;
    launch_product(args, multiprocessors_, call.stream);
    add_gradient_parts({parts, plan.splits, lines, groups.outs, pitch, target}, call.stream);
    return true;
  }
  args.finishes = plan.splits == 1;
  args.out = args.finishes ? call.y.data : parts;
  args.out_image_floats = call.y.value->floats();
  args.part_floats = call.images * call.y.value->floats();
  args.out_pitch = call.y.value->c;
  args.bias = bias;
  args.activation = s.activation;
  args.alpha = s.alpha;
  args.accumulate = s.accumulate;
  launch_product(args, multiprocessors_, call.stream);
  if (args.finishes) return true;
  add_parts({parts, plan.splits, args.part_floats, call.y.data, call.y.value->c, bias, s.activation,
             s.alpha, s.accumulate},
            call.stream);
  return true;
}

}  // namespace facegen::cuda
