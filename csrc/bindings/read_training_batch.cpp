#include "read_training_batch.h"

#include <algorithm>

#include "arguments.h"

namespace py = pybind11;

namespace facegen {
namespace {

void check(const py::array& array, const std::string& name, int64_t values, bool labels) {
  const bool fits = labels ? py::isinstance<py::array_t<int32_t, py::array::c_style>>(array)
                           : py::isinstance<py::array_t<float, py::array::c_style>>(array);
  if (!fits) {
    throw py::type_error(name + " must be a C-contiguous " + (labels ? "int32" : "float32") +
                         " array");
  }
  require_aligned(array, name);
  if (array.size() != values) {
    throw py::value_error(name + " must have " + std::to_string(values) + " values, found " +
                          std::to_string(array.size()));
  }
}

void check_labels(const py::array& target, int32_t classes) {
  const auto* const labels = static_cast<const int32_t*>(target.data());
  const py::ssize_t count = target.size();
  // The largest is found first, since that loop is vectorised: a batch may have a label a pixel.
  int32_t most = -1;
  for (py::ssize_t i = 0; i < count; ++i) most = std::max(most, labels[i]);
  if (most < classes) return;
  const auto* const place = std::find_if(labels, labels + count, [&](int32_t label) { return label >= classes; });
  throw py::value_error("labels must be below " + std::to_string(classes) + ", found " + std::to_string(*place) +
                        " at " + std::to_string(place - labels));
}

int32_t input_count(const TrainingProgram& program) {
  int32_t count = 0;
  for (const TrainingValue& value : program.values) {
    if (value.kind == ValueKind::kInput) count = std::max(count, value.index + 1);
  }
  return count;
}

void take_inputs(const TrainingProgram& program, const std::vector<py::array>& inputs,
                 TrainingBatch& batch) {
  check_counts(program, batch.images, inputs.size(), program.targets.size());
  for (const TrainingValue& value : program.values) {
    if (value.kind != ValueKind::kInput) continue;
    check_input(value, inputs[std::size_t(value.index)], batch.images);
  }
  for (const py::array& input : inputs) {
    batch.inputs.push_back(static_cast<const float*>(input.data()));
  }
}

}  // namespace

void check_counts(const TrainingProgram& program, int64_t images, std::size_t inputs, std::size_t targets) {
  if (images < 1) throw py::value_error("a batch must have at least 1 image");
  const auto expected = static_cast<std::size_t>(input_count(program));
  if (inputs != expected) {
    throw py::value_error("expected " + std::to_string(expected) + " inputs, found " +
                          std::to_string(inputs));
  }
  if (targets != program.targets.size()) {
    throw py::value_error("expected " + std::to_string(program.targets.size()) + " targets, found " +
                          std::to_string(targets));
  }
}

void check_groups(const TrainingProgram& program, int64_t images) {
  for (const TrainingStep& step : program.steps) {
    if (images % loss_group(step) == 0) continue;
    throw py::value_error("expected groups of " + std::to_string(loss_group(step)) + " images, found " +
                          std::to_string(images) + " images");
  }
}

void check_input(const TrainingValue& value, const py::array& array, int64_t images) {
  check(array, "input " + std::to_string(value.index), images * value.floats(), false);
}

void check_target(const TrainingProgram& program, const TrainingStep& loss, const py::array& array,
                  int64_t images) {
  const TrainingValue& value = program.values[std::size_t(loss.y)];
  check(array, "target " + std::to_string(value.index), images * value.floats(), takes_labels(loss));
  if (takes_labels(loss)) check_labels(array, program.values[std::size_t(loss.x)].c);
}

void check_losses(const TrainingProgram& program, const py::array& losses, py::ssize_t rank) {
  const auto count = std::count_if(program.steps.begin(), program.steps.end(), [](const TrainingStep& s) {
    return s.op == TrainingOp::kLoss;
  });
  if (losses.ndim() != rank || losses.shape(rank - 2) != count) {
    throw py::value_error("losses must have shape (" + std::to_string(count) + ", images)");
  }
  if (!py::isinstance<py::array_t<double, py::array::c_style>>(losses) || !losses.writeable()) {
    throw py::type_error("losses must be a writeable float64 array");
  }
}

void check_floats(const py::array& array, const std::string& name, int64_t values) {
  check(array, name, values, false);
}

std::vector<double> read_rates(const TrainingProgram& program, const std::vector<double>& rates) {
  if (static_cast<int32_t>(rates.size()) < program.rate_groups) {
    throw py::value_error("fewer rates than groups");
  }
  return rates;
}

TrainingBatch read_training_inputs(const TrainingProgram& program, const std::vector<py::array>& inputs) {
  TrainingBatch batch = {};
  batch.images = inputs.empty() || inputs[0].ndim() == 0 ? 0 : inputs[0].shape(0);
  take_inputs(program, inputs, batch);
  return batch;
}

TrainingBatch read_training_batch(const TrainingProgram& program, const std::vector<py::array>& inputs,
                                  const std::vector<py::array>& targets, py::array& losses,
                                  const std::vector<double>& rates) {
  TrainingBatch batch = {};
  check_losses(program, losses, 2);
  batch.images = losses.shape(1);
  check_counts(program, batch.images, inputs.size(), targets.size());
  take_inputs(program, inputs, batch);
  check_groups(program, batch.images);
  batch.targets.resize(targets.size());
  for (const TrainingStep& step : program.steps) {
    if (step.op != TrainingOp::kLoss || step.y < 0) continue;
    const auto i = static_cast<std::size_t>(program.values[std::size_t(step.y)].index);
    check_target(program, step, targets[i], batch.images);
    batch.targets[i] = targets[i].data();
  }
  batch.losses = static_cast<double*>(losses.mutable_data());
  batch.rates = read_rates(program, rates);
  return batch;
}

std::vector<py::array_t<float>> empty_predictions(const TrainingProgram& program, int64_t images,
                                                  std::vector<float*>& memory) {
  std::vector<py::array_t<float>> outputs;
  for (const TrainingStep& step : program.steps) {
    if (step.op != TrainingOp::kLoss) continue;
    const TrainingValue& v = program.values[std::size_t(step.x)];
    const std::vector<py::ssize_t> shape = {images, v.h, v.w, v.c};
    checked_bytes(shape, sizeof(float));
    memory.push_back(outputs.emplace_back(shape).mutable_data());
  }
  return outputs;
}

}  // namespace facegen
