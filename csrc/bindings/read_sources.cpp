#include "read_sources.h"

#include <pybind11/numpy.h>
#include <pybind11/stl.h>

#include <array>
#include <string>
#include <tuple>
#include <utility>

#include "device_array.h"
#include "read_training_batch.h"

namespace py = pybind11;

namespace facegen {
namespace {

using Tuple = std::tuple<std::string, intptr_t, std::string, std::array<int64_t, 3>, std::array<int64_t, 4>,
                         py::object>;

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

cuda::Source on_device(const py::object& object, const TrainingValue& value) {
  const auto [name, pointer, element, shape, strides, behind] = object.cast<Tuple>();
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
  if (py::isinstance<DeviceArray>(behind)) {
    source.block = &behind.cast<const DeviceArray&>().block();
  } else {
    source.stream = reinterpret_cast<cudaStream_t>(behind.cast<intptr_t>());
  }
  return source;
}

// check(array, images) is asked of arrays on the host.
template <typename Check>
cuda::Source read_piece(const py::object& object, const TrainingValue& value, int64_t images,
                        const Check& check) {
  cuda::Source source;
  if (py::isinstance<py::array>(object)) {
    const auto array = object.cast<py::array>();
    check(array, images);
    source.data = array.data();
  } else {
    source = on_device(object, value);
  }
  source.images = images;
  return source;
}

using Joined = std::pair<bool, std::vector<std::pair<int64_t, py::object>>>;

bool is_joined(const py::object& object) {
  return py::isinstance<py::tuple>(object) && py::len(object) == std::tuple_size_v<Joined>;
}

template <typename Check>
cuda::Pieces read_pieces(const py::object& object, const TrainingValue& value, int64_t images,
                         const Check& check) {
  if (!is_joined(object)) return {read_piece(object, value, images, check)};
  const auto [interleaved, given] = object.cast<Joined>();
  cuda::Pieces pieces;
  int64_t read = 0;
  for (const auto& [count, piece] : given) {
    if (count < 1 || count > images - read || (interleaved && count != given.front().first)) {
      throw py::value_error("pieces of " + std::to_string(images) + " images, not one of " +
                            std::to_string(count));
    }
    cuda::Source source = read_piece(piece, value, count, check);
    source.first = interleaved ? static_cast<int64_t>(pieces.size()) : read;
    source.every = interleaved ? static_cast<int64_t>(given.size()) : 1;
    pieces.push_back(source);
    read += count;
  }
  if (read != images) throw py::value_error("pieces of " + std::to_string(images) + " images, not " +
                                            std::to_string(read));
  return pieces;
}

}  // namespace

std::vector<cuda::Pieces> read_input_sources(const TrainingProgram& program,
                                             const std::vector<py::object>& inputs, int64_t images) {
  check_counts(program, images, inputs.size(), program.targets.size());
  std::vector<cuda::Pieces> sources(inputs.size());
  for (const TrainingValue& value : program.values) {
    if (value.kind != ValueKind::kInput) continue;
    const auto i = static_cast<std::size_t>(value.index);
    sources[i] = read_pieces(inputs[i], value, images, [&](const py::array& array, int64_t count) {
      check_input(value, array, count);
    });
  }
  return sources;
}

Sources read_sources(const TrainingProgram& program, const std::vector<py::object>& inputs,
                     const std::vector<py::object>& targets, int64_t images) {
  check_counts(program, images, inputs.size(), targets.size());
  Sources sources = {read_input_sources(program, inputs, images), std::vector<cuda::Pieces>(targets.size())};
  for (const TrainingStep& loss : program.steps) {
    if (loss.op != TrainingOp::kLoss || loss.y < 0) continue;
    const TrainingValue& value = program.values[std::size_t(loss.y)];
    const auto i = static_cast<std::size_t>(value.index);
    sources.targets[i] = read_pieces(targets[i], value, images, [&](const py::array& array, int64_t count) {
      check_target(program, loss, array, count);
    });
  }
  return sources;
}

cuda::Source read_pictures(const py::object& pictures, int64_t images, int32_t h, int32_t w, int32_t c) {
  TrainingValue value = {};
  value.h = h;
  value.w = w;
  value.c = c;
  return read_piece(pictures, value, images, [&](const py::array& array, int64_t count) {
    check_floats(array, "pictures", count * value.floats());
  });
}

}  // namespace facegen
