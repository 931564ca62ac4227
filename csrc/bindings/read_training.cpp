#include "read_training.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "arguments.h"
#include "training_reader.h"

namespace facegen {

void TrainingReader::read(const py::object& object, const py::dict& arrays) {
  read_values(object);
  read_arrays(arrays);
  for (const auto item : py::dict(object.attr("statistics"))) {
    statistics_[item.first.cast<std::string>()] =
        static_cast<int32_t>(program_.statistics.size());
    program_.statistics.push_back(item.second.cast<int64_t>());
    require(in_range(program_.statistics.back(), 1, kMostFloats), "statistics of impossible size");
  }
  program_.forward_steps = read_steps(object.attr("forward"), false);
  program_.backward_steps = read_steps(object.attr("backward"), false);
  read_steps(object.attr("update"), true);
  const auto& steps = program_.steps;
  require(program_.forward_steps > 0 &&
              steps[std::size_t(program_.forward_steps - 1)].op == TrainingOp::kLoss,
          "a forward pass that does not end in a loss");
  require(std::none_of(steps.begin() + program_.forward_steps, steps.end(),
                       [](const TrainingStep& s) { return s.op == TrainingOp::kLoss; }),
          "a loss behind the forward pass");
  for (const int32_t target : program_.targets) {
    require(target >= 0, "a target that no loss takes");
  }
  check_gradients();
  for (const auto item : object.attr("input_gradients")) {
    const auto name = item.cast<std::string>();
    const int32_t gradient = written(py::str("d(" + name + ")"));
    require_same(value(py::str(name)), gradient, "the gradient of " + name);
  }
  for (const auto name : object.attr("kept")) {
    program_.kept.push_back(written(py::reinterpret_borrow<py::object>(name)));
  }
  if (!object.attr("clip_norm").is_none()) program_.clip_norm = field<float>(object, "clip_norm");
}

// Gradients have room where a parameter is updated.
void TrainingReader::check_gradients() const {
  std::set<int32_t> updated;
  for (const TrainingStep& s : program_.steps) {
    if (s.op == TrainingOp::kUpdate) updated.insert(s.weight);
  }
  for (const TrainingStep& s : program_.steps) {
    const bool norm = s.op == TrainingOp::kBatchNormGradient ||
                      s.op == TrainingOp::kInstanceNormGradient ||
                      s.op == TrainingOp::kLayerNormGradient;
    const int32_t made =
        s.op == TrainingOp::kWeightGradient || s.op == TrainingOp::kDepthwiseWeightGradient
            ? s.weight
        : s.op == TrainingOp::kBiasGradient                ? s.bias
        : s.op == TrainingOp::kPreluGradient && s.trained ? s.slope
                                                           : -1;
    require((made < 0 || updated.count(made) > 0) &&
                (!norm || !s.trained ||
                 (updated.count(s.gamma) > 0 && updated.count(s.beta) > 0)),
            s.name + ": a gradient of what is not updated");
  }
}

void TrainingReader::read_values(const py::object& object) {
  program_.arena_floats = field<int64_t>(object, "arena_floats");
  require(in_range(program_.arena_floats, 0, kMostFloats), "an arena of impossible size");
  const std::map<std::string, ValueKind> kinds = {
      {"input", ValueKind::kInput}, {"target", ValueKind::kTarget}, {"arena", ValueKind::kArena}};
  for (const auto item : py::dict(object.attr("values"))) {
    const auto name = item.first.cast<std::string>();
    const auto value = py::reinterpret_borrow<py::object>(item.second);
    const py::object shape = value.attr("shape");
    const TrainingValue v = {named(kinds, field<std::string>(value, "kind")),
                             field<int32_t>(value, "index"),
                             field<int32_t>(shape, "height"),
                             field<int32_t>(shape, "width"),
                             field<int32_t>(shape, "channels"),
                             field<int64_t>(value, "offset")};
    require(in_range(v.h, 1, kMostPositions) && in_range(v.w, 1, kMostPositions) &&
                in_range(v.c, 1, kMostPositions) && v.pixels() <= kMostPixels,
            name + " has an impossible shape");
    const int64_t floats = product({v.h, v.w, v.c});
    require(floats > 0 && (v.kind != ValueKind::kArena ||
                           in_range(v.offset, 0, program_.arena_floats - floats)),
            name + " lies outside the arena");
    values_[name] = static_cast<int32_t>(program_.values.size());
    program_.values.push_back(v);
  }
  int32_t index = 0, targets = 0;
  for (const auto item : object.attr("inputs")) {
    const auto& v = at(value(py::reinterpret_borrow<py::object>(item)));
    require(v.kind == ValueKind::kInput && v.index == index++, "inputs out of order");
  }
  for (const TrainingValue& v : program_.values) {
    require(v.kind != ValueKind::kInput || in_range(v.index, 0, index - 1), "an unknown input");
    targets += v.kind == ValueKind::kTarget;
  }
  for (const TrainingValue& v : program_.values) {
    require(v.kind != ValueKind::kTarget || in_range(v.index, 0, targets - 1), "an unknown target");
  }
  program_.targets.assign(std::size_t(targets), -1);
}

void TrainingReader::read_arrays(const py::dict& arrays) {
  for (const auto item : arrays) {
    const auto name = item.first.cast<std::string>();
    if (!py::isinstance<py::array_t<float, py::array::c_style>>(item.second)) {
      throw py::type_error(name + " must be a C-contiguous float32 array");
    }
    py::array array = py::reinterpret_borrow<py::array>(item.second);
    require_aligned(array, name);
    if (!array.writeable()) throw py::value_error(name + " is read-only");
    arrays_[name] = static_cast<int32_t>(program_.arrays.size());
    program_.arrays.push_back(
        {name, static_cast<float*>(array.mutable_data()), static_cast<int64_t>(array.size())});
    storage_.kept.push_back(std::move(array));
  }
}

int32_t TrainingReader::read_steps(const py::object& steps, bool updating) {
  int32_t count = 0;
  for (const auto item : steps) {
    program_.steps.push_back(read_step(py::reinterpret_borrow<py::object>(item)));
    const TrainingOp op = program_.steps.back().op;
    require((op == TrainingOp::kUpdate || op == TrainingOp::kUpdateStatistics) == updating,
            "an update among other steps, or another among updates");
    ++count;
  }
  return count;
}

// Of an operand that the step must have: none is -1.
const TrainingValue& TrainingReader::at(int32_t index) const {
  require(index >= 0, "a step without an operand that it needs");
  return program_.values[std::size_t(index)];
}

int32_t TrainingReader::value(const py::object& name) const {
  const auto found = values_.find(name.cast<std::string>());
  require(found != values_.end(), "unknown value " + name.cast<std::string>());
  return found->second;
}

// One that a step writes.
int32_t TrainingReader::written(const py::object& name) const {
  const int32_t index = value(name);
  require(at(index).kind == ValueKind::kArena, "a step writes what is the caller's");
  return index;
}

int32_t TrainingReader::array(const py::object& name, int64_t floats) const {
  const auto text = name.cast<std::string>();
  const auto found = arrays_.find(text);
  require(found != arrays_.end(), "array " + text + " is missing");
  const int64_t size = program_.arrays[std::size_t(found->second)].floats;
  require(size == floats, "array " + text + " has " + std::to_string(size) +
                              " values, expected " + std::to_string(floats));
  return found->second;
}

int32_t TrainingReader::statistics(const py::object& name, int64_t floats) const {
  const auto found = statistics_.find(name.cast<std::string>());
  require(found != statistics_.end() &&
              program_.statistics[std::size_t(found->second)] == floats,
          "unknown statistics " + name.cast<std::string>());
  return found->second;
}

void TrainingReader::require_same(int32_t a, int32_t b, const std::string& name) const {
  const TrainingValue &x = at(a), &y = at(b);
  require(x.h == y.h && x.w == y.w && x.c == y.c, name + ": two shapes that should be one");
}

TrainingStorage::TrainingStorage(const py::object& object, const py::dict& arrays) {
  TrainingReader(*this).read(object, arrays);
}

}  // namespace facegen
