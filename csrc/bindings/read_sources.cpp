#include "read_sources.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <string>
#include <tuple>
#include <utility>

#include "read_training_batch.h"

namespace py = pybind11;

namespace facegen {
namespace {

using Tuple = std::tuple<std::string, intptr_t, std::string, std::array<int64_t, 3>, std::array<int64_t, 4>,
                         intptr_t>;

cuda::SourceElement read_element(const std::string& name) {
  static constexpr std::pair<const char*, cuda::SourceElement> kElements[] = {
      {"float32", cuda::SourceElement::kFloat32},   {"float64", cuda::SourceElement::kFloat64},
      {"float16", cuda::SourceElement::kFloat16},   {"bfloat16", cuda::SourceElement::kBfloat16},
      {"uint8", cuda::SourceElement::kUint8},       {"int32", cuda::SourceElement::kInt32},
      {"int64", cuda::SourceElement::kInt64}};
  for (const auto& [known, element] : kElements) {
    if (name == known) return element;
  }
  throw py::value_error("elements on a GPU are float32, float64, float16, bfloat16, uint8, int32 or int64, not " +
                        name);
}

cuda::Source on_host(const py::array& array) {
  cuda::Source source;
  source.data = array.data();
  return source;
}

cuda::Source on_device(const py::object& object, const TrainingValue& value) {
  const auto [name, pointer, element, shape, strides, stream] = object.cast<Tuple>();
  if (shape != std::array<int64_t, 3>{value.h, value.w, value.c}) {
    throw py::value_error(name + ": another shape than the program's");
  }
  cuda::Source source;
  source.name = name;
  source.data = reinterpret_cast<const void*>(pointer);
  source.on_device = true;
  source.element = read_element(element);
  source.shape = shape;
  source.strides = strides;
  source.stream = reinterpret_cast<cudaStream_t>(stream);
  return source;
}

}  // namespace

std::vector<cuda::Source> read_input_sources(const TrainingProgram& program,
                                             const std::vector<py::object>& inputs, int64_t images) {
  check_counts(program, images, inputs.size(), program.targets.size());
  std::vector<cuda::Source> sources(inputs.size());
  for (const TrainingValue& value : program.values) {
    if (value.kind != ValueKind::kInput) continue;
    const auto i = static_cast<std::size_t>(value.index);
    if (!py::isinstance<py::array>(inputs[i])) {
      sources[i] = on_device(inputs[i], value);
      continue;
    }
    const auto array = inputs[i].cast<py::array>();
    check_input(value, array, images);
    sources[i] = on_host(array);
  }
  return sources;
}

Sources read_sources(const TrainingProgram& program, const std::vector<py::object>& inputs,
                     const std::vector<py::object>& targets, int64_t images) {
  check_counts(program, images, inputs.size(), targets.size());
  Sources sources = {read_input_sources(program, inputs, images), std::vector<cuda::Source>(targets.size())};
  for (const TrainingStep& loss : program.steps) {
    if (loss.op != TrainingOp::kLoss || loss.y < 0) continue;
    const TrainingValue& value = program.values[std::size_t(loss.y)];
    const auto i = static_cast<std::size_t>(value.index);
    if (!py::isinstance<py::array>(targets[i])) {
      sources.targets[i] = on_device(targets[i], value);
      continue;
    }
    const auto array = targets[i].cast<py::array>();
    check_target(program, loss, array, images);
    sources.targets[i] = on_host(array);
  }
  return sources;
}

}  // namespace facegen
