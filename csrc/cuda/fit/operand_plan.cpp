#include "cuda/fit/operand_plan.h"

#include <algorithm>
#include <iterator>

#include "cuda/fit/pool_plan.h"
#include "divide_up.h"

namespace facegen::cuda::hopper {
namespace {

constexpr int64_t kLine = 64;  // elements

// What is found on the way through a program, step by step.
class Planner {
 public:
  Planner(const TrainingProgram& program, const ProductSteps& steps, int64_t images, OperandFormat format,
          bool always)
      : program_(program), steps_(steps), images_(images), format_(format), always_(always) {
    made_.fused = plan_fused(program);
  }

  OperandPlan plan() {
    for (std::size_t i = 0; i < steps(); ++i) {
      if (const auto found = steps_.find(i); found != steps_.end()) add_product(i, found->second);
      // A product that does the gate behind it writes what that would.
      const int32_t written = written_value(program_.steps[made_.gates.count(i) > 0 ? i + 1 : i]);
      if (written < 0 || made_.is_done(i)) continue;
      add_writer(i, written);
      forget_maps(written);
    }
    for (OperandMap& map : made_.maps) map.alone = map.by_writer && !is_read(map);
    place();
    return made_;
  }

 private:
  std::size_t steps() const { return static_cast<std::size_t>(program_.forward_steps + program_.backward_steps); }
  bool is_part(std::size_t step) const { return cuda::is_part(program_.steps[step], program_); }
  bool overlap(int32_t one, int32_t other) const { return cuda::overlap(program_, one, other); }

  // Of what lay where a value is written.
  void forget_maps(int32_t written) {
    for (auto it = newest_.begin(); it != newest_.end();) {
      it = overlap(it->first.first, written) ? newest_.erase(it) : std::next(it);
    }
    for (auto it = writers_.begin(); it != writers_.end();) {
      it = it->first != written && overlap(it->first, written) ? writers_.erase(it) : std::next(it);
    }
  }

  // Copies that write some channels each, of a map of which they write no channel twice, are writers together.
  void add_writer(std::size_t step, int32_t written) {
    std::vector<std::size_t>& writers = writers_[written];
    const TrainingStep& s = program_.steps[step];
    const bool joins = is_part(step) && std::all_of(writers.begin(), writers.end(), [&](std::size_t i) {
      const TrainingStep& other = program_.steps[i];
      const bool apart = other.first_y + other.channels <= s.first_y || s.first_y + s.channels <= other.first_y;
      return is_part(i) && apart;
    });
    if (!joins) writers.clear();
    writers.push_back(step);
  }

  // Whether the step behind a product multiplies what it has made, which nothing else reads, by a ramp's slope.
  bool has_gate(std::size_t step, const ProductPlan& plan) const {
    if (step + 1 >= steps()) return false;
    const TrainingStep &s = program_.steps[step], &next = program_.steps[step + 1];
    return plan.finishes && s.activation == Activation::kNone && next.op == TrainingOp::kActivateGradient &&
           next.activation <= Activation::kLeakyRelu && !next.accumulate && next.dy == s.y &&
           (next.dx == s.y || (!s.accumulate && !is_used(s.y, step + 2)));
  }

  // Whether anything from a step on may read a value that was made before.
  bool is_used(int32_t of, std::size_t from) const {
    const auto& kept = program_.kept;
    if (std::any_of(kept.begin(), kept.end(), [&](int32_t one) { return overlap(one, of); })) return true;
    for (std::size_t i = from; i < steps(); ++i) {
      const TrainingStep& s = program_.steps[i];
      const int32_t written = written_value(s);
      for (const int32_t read : {s.x, s.other, s.y, s.dy}) {
        if (overlap(read, of) && (read != written || s.accumulate)) return true;
      }
      if (overlap(written, of)) return false;
    }
    return false;
  }

  const TrainingValue& value(int32_t index) const { return program_.values[static_cast<std::size_t>(index)]; }

  // Whether a step reads the value of a map that its writer makes, before that is written anew.
  bool is_read(const OperandMap& map) const {
    const auto& kept = program_.kept;
    if (std::any_of(kept.begin(), kept.end(), [&](int32_t of) { return overlap(of, map.value); })) return true;
    for (std::size_t i = map.first + 1; i < steps(); ++i) {
      const TrainingStep& s = program_.steps[i];
      if (reads(s, i, map)) return true;
      const int32_t written = written_value(s);
      if (made_.is_done(i) || !overlap(written, map.value)) continue;
      // Others may write some of it alone.
      const bool whole = made_.products.count(i) > 0 || (writes_operand(s, program_) && !is_part(i));
      if (whole || value(written).offset != value(map.value).offset) return false;
    }
    return false;
  }

  // What a step reads of values: one that a copy or a pool does nothing more; one that a product does the ramp's y;
  // a copy with a gate x and the ramp's y; a product no value, unless of another map of it; a norm's gradient with a
  // ramp not y; all others x, other, dy and y.
  bool reads(const TrainingStep& s, std::size_t step, const OperandMap& map) const {
    const int32_t written = written_value(s);
    if (made_.fused.done.count(step) > 0) return false;
    if (s.accumulate && overlap(written, map.value)) return true;
    if (made_.is_done(step)) return overlap(s.y, map.value);
    if (const auto gate = made_.fused.gates.find(step); gate != made_.fused.gates.end()) {
      if (overlap(program_.steps[gate->second].y, map.value)) return true;
    }
    if (const auto found = made_.products.find(step); found != made_.products.end()) {
      const PlannedProduct& product = found->second;
      const auto is_other = [&](std::size_t of) {
        return &made_.maps[of] != &map && overlap(made_.maps[of].value, map.value);
      };
      return is_other(product.a) || (product.plan.kind == ProductKind::kWeight && is_other(product.b));
    }
    // The kernel of a norm's gradient tells a ramp's slope from what the norm read, and that of a pool whose
    // windows are apart finds their largest anew.
    const bool is_norm = s.op == TrainingOp::kBatchNormGradient || s.op == TrainingOp::kInstanceNormGradient;
    const bool is_apart = s.op == TrainingOp::kMaxPoolGradient && has_windows(s.window, 2);
    const bool reads_y = written != s.y && !(is_norm && s.activation <= Activation::kLeakyRelu) && !is_apart;
    return overlap(s.x, map.value) || overlap(s.other, map.value) || overlap(s.dy, map.value) ||
           (reads_y && overlap(s.y, map.value));
  }

  void add_product(std::size_t step, const ProductStep& product) {
    const auto plan = plan_product(product, images_, format_, always_);
    if (!plan) return;
    const TrainingStep& s = program_.steps[step];
    if (has_gate(step, *plan)) made_.gates[step] = step + 1;
    PlannedProduct& operands = made_.products[step];
    operands.plan = *plan;
    const bool of_gradient = plan->kind == ProductKind::kInput;
    operands.a = find_map(s.x, of_gradient, product, product.gather, step);
    if (plan->kind == ProductKind::kWeight) {
      operands.b = find_map(s.dy, true, product, product.gather_dy, step);
    } else {
      made_.weights.insert(weight_of(product));
    }
  }

  // The map of what a value is at a step that reads it, gathered or as it lies.
  std::size_t find_map(int32_t value, bool is_gradient, const ProductStep& product,
                       const std::optional<GatherMap>& gather, std::size_t step) {
    const auto [found, is_new] =
        newest_.emplace(std::pair{value, gather ? product.step.weight : -1}, made_.maps.size());
    if (is_new) made_.maps.push_back(make_map(value, is_gradient, gather, step));
    made_.maps[found->second].last = step;
    return found->second;
  }

  OperandMap make_map(int32_t value, bool is_gradient, const std::optional<GatherMap>& gather,
                      std::size_t step) {
    const TrainingValue& v = this->value(value);
    OperandMap map = {value, is_gradient, gather, v.h, v.w, v.c, step, step};
    if (gather) {
      map.h = gather->y.size, map.w = gather->x.size, map.c = gather->channels(v.c);
    } else if (const auto writer = writers_.find(value);
               writer != writers_.end() && can_make(writer->second, map, step)) {
      map.by_writer = true;
      map.first = writer->second.front();
      for (const std::size_t i : writer->second) made_.made_by[i] = made_.maps.size();
    }
    return map;
  }

  // Whether the kernels of steps that write a value, which is read at a step, can write it as an operand too.
  bool can_make(const std::vector<std::size_t>& writers, const OperandMap& map, std::size_t read) const {
    if (format_ == OperandFormat::kFloat16) return false;
    const TrainingStep& s = program_.steps[writers[0]];
    if (is_part(writers[0])) return fill(writers, map, read);
    if (s.op != TrainingOp::kGemm) return writes_operand(s, program_);
    const auto found = made_.products.find(writers[0]);
    return found != made_.products.end() && found->second.plan.finishes && map.c % 8 == 0;
  }

  // Whether parts make up all channels, and nothing else writes there.
  bool fill(const std::vector<std::size_t>& parts, const OperandMap& map, std::size_t read) const {
    int32_t channels = 0;
    for (const std::size_t i : parts) {
      const TrainingStep& s = program_.steps[i];
      if (s.accumulate || !writes_operand(s, program_)) return false;
      channels += s.channels;
    }
    if (channels != map.c) return false;
    for (std::size_t i = parts.front(); i < read; ++i) {
      const bool is_own = std::find(parts.begin(), parts.end(), i) != parts.end();
      if (!is_own && !made_.is_done(i) && overlap(written_value(program_.steps[i]), map.value)) return false;
    }
    return true;
  }

  int64_t elements(const OperandMap& map) const { return operand_elements(format_, map.plane()); }

  // First fit, in the order in which maps are made.
  void place() {
    for (std::size_t i = 0; i < made_.maps.size(); ++i) {
      OperandMap& map = made_.maps[i];
      for (bool moved = true; moved;) {
        moved = false;
        for (std::size_t j = 0; j < i; ++j) {
          const OperandMap& other = made_.maps[j];
          const bool apart_in_time = other.last < map.first || map.last < other.first;
          const bool apart = other.offset + elements(other) <= map.offset ||
                             map.offset + elements(map) <= other.offset;
          if (apart_in_time || apart) continue;
          map.offset = other.offset + elements(other);
          moved = true;
        }
      }
      made_.elements = std::max(made_.elements, map.offset + elements(map));
    }
  }

  const TrainingProgram& program_;
  const ProductSteps& steps_;
  int64_t images_;
  OperandFormat format_;
  bool always_;
  OperandPlan made_;
  std::map<int32_t, std::vector<std::size_t>> writers_;  // by value: the last steps that wrote it
  // By value, and by the weight whose taps are gathered or -1: the map of what the value now is.
  std::map<std::pair<int32_t, int32_t>, std::size_t> newest_;
};

}  // namespace

int64_t operand_elements(OperandFormat format, int64_t plane) {
  return divide_up(planes_of(format) * plane, kLine) * kLine;
}

ProductSteps lower_products(const TrainingProgram& program) {
  ProductSteps steps;
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    const TrainingStep& s = program.steps[i];
    if (s.op != TrainingOp::kGemm && s.op != TrainingOp::kWeightGradient) continue;
    steps.emplace(i, lower_product(s, program));
  }
  return steps;
}

OperandPlan plan_operands(const TrainingProgram& program, const ProductSteps& steps, int64_t images,
                          OperandFormat format, bool always) {
  return Planner(program, steps, images, format, always).plan();
}

int64_t product_scratch_floats(const TrainingProgram& program, const ProductSteps& steps,
                               const OperandPlan& plan, int64_t images) {
  int64_t most = 0;
  for (const auto& [i, planned] : plan.products) {
    const ProductStep& product = steps.at(i);
    const TrainingGroups& groups = product.groups;
    int64_t floats = 0;  // of a part
    if (planned.plan.kind == ProductKind::kWeight) {
      floats = int64_t{taps_of(product.step)} * groups.ins * part_pitch(groups.outs);
    } else if (product.scatters) {
      const Phase& phase = product.step.phases[0];
      floats = images * phase.y.out * phase.x.out * part_pitch(product_channels(product).columns);
    } else if (!planned.plan.finishes) {
      const TrainingValue& y = program.values[static_cast<std::size_t>(product.step.y)];
      floats = images * y.pixels() * part_pitch(y.c);
    }
    most = std::max(most, planned.plan.splits * floats);
  }
  return most;
}

}  // namespace facegen::cuda::hopper
