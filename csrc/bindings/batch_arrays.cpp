#include "batch_arrays.h"

#include "arguments.h"

namespace py = pybind11;

namespace facegen {

BatchArrays::BatchArrays(const Program& program) {
  for (int i = 0; i < program.buffer_count; ++i) {
    const Buffer& buffer = program.buffers[i];
    if (buffer.kind == BufferKind::kArena) continue;
    auto& sizes = buffer.kind == BufferKind::kInput ? input_floats_ : output_floats_;
    const auto index = static_cast<std::size_t>(buffer.index);
    if (sizes.size() <= index) sizes.resize(index + 1, -1);
    sizes[index] = buffer.floats;
  }
}

BatchArrays::Batch BatchArrays::check(const std::vector<py::array>& inputs,
                                      const std::vector<py::array>& outputs) const {
  const Items found = check_items(inputs, outputs);
  const auto floats = [](const std::vector<Item>& items, const char* what) {
    std::vector<float*> result;
    for (const Item& item : items) {
      if (item.is_uint8) {
        throw py::type_error(std::string(what) + " " + std::to_string(result.size()) +
                             " must be a C-contiguous float32 array");
      }
      result.push_back(static_cast<float*>(item.data));
    }
    return result;
  };
  return {found.images, floats(found.inputs, "input"), floats(found.outputs, "output")};
}

BatchArrays::Items BatchArrays::check_items(const std::vector<py::array>& inputs,
                                            const std::vector<py::array>& outputs) const {
  if (inputs.empty() && outputs.empty()) throw py::value_error("run: no arrays");
  const py::array& first = (inputs.empty() ? outputs : inputs)[0];
  const int64_t images = first.ndim() > 0 ? first.shape(0) : 0;
  return {images, items(inputs, input_floats_, images, "input", false),
          items(outputs, output_floats_, images, "output", true)};
}

std::vector<BatchArrays::Item> BatchArrays::items(const std::vector<py::array>& arrays,
                                                  const std::vector<int64_t>& floats,
                                                  int64_t images, const std::string& what,
                                                  bool writeable) {
  if (arrays.size() != floats.size()) {
    throw py::value_error(what + "s: expected " + std::to_string(floats.size()) +
                          " arrays, found " + std::to_string(arrays.size()));
  }
  std::vector<Item> result;
  for (std::size_t i = 0; i < arrays.size(); ++i) {
    const std::string name = what + " " + std::to_string(i);
    const py::array& array = arrays[i];
    const bool is_uint8 = py::isinstance<py::array_t<uint8_t>>(array);
    if (!(is_uint8 || py::isinstance<py::array_t<float>>(array)) ||
        !(array.flags() & py::array::c_style)) {
      throw py::type_error(name + " must be a C-contiguous float32 array");
    }
    require_aligned(array, name);
    if (writeable && !array.writeable()) throw py::value_error(name + " is read-only");
    const int64_t size = array.size();
    const bool fits = images == 0 ? size == 0 : size % images == 0 && size / images == floats[i];
    if (array.ndim() < 1 || array.shape(0) != images || !fits) {
      throw py::value_error(name + " must hold " + std::to_string(images) + " images of " +
                            std::to_string(floats[i]) + " values, found " +
                            std::to_string(size) + " values");
    }
    result.push_back({const_cast<void*>(array.data()), is_uint8, floats[i]});
  }
  return result;
}

}  // namespace facegen
