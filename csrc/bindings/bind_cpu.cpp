#include <pybind11/stl.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings.h"
#include "cpu/dispatch.h"
#include "cpu/executable.h"
#include "cpu/fma_peak.h"
#include "read_program.h"
#include "threads.h"

namespace py = pybind11;

namespace facegen {
namespace {

// A Program on the CPU, with the arrays that it points to.
class CpuExecutable {
 public:
  CpuExecutable(const py::object& program, const std::string& isa) : storage_(program) {
    const Program& p = storage_.program();
    for (int i = 0; i < p.buffer_count; ++i) {
      const Buffer& buffer = p.buffers[i];
      if (buffer.kind == BufferKind::kArena) continue;
      auto& sizes = buffer.kind == BufferKind::kInput ? input_floats_ : output_floats_;
      const auto index = static_cast<std::size_t>(buffer.index);
      if (sizes.size() <= index) sizes.resize(index + 1, -1);
      sizes[index] = buffer.floats;
    }
    const cpu::Kernels& kernels = cpu::choose_kernels(isa);
    {
      py::gil_scoped_release release;
      executable_ = std::make_unique<cpu::Executable>(p, kernels);
    }
    storage_.release_weights();
  }

  void run(const std::vector<py::array>& inputs, const std::vector<py::array>& outputs,
           int threads) const {
    if (inputs.empty() && outputs.empty()) throw py::value_error("run: no arrays");
    const int64_t images = (inputs.empty() ? outputs : inputs)[0].ndim() > 0
                               ? (inputs.empty() ? outputs : inputs)[0].shape(0)
                               : 0;
    const auto in = pointers(inputs, input_floats_, images, "input", false);
    const auto out = pointers(outputs, output_floats_, images, "output", true);
    if (threads < 1) throw py::value_error("threads must be at least 1");
    py::gil_scoped_release release;
    executable_->run(images, in.data(), out.data(), threads);
  }

  std::string isa() const { return executable_->kernels().isa; }

 private:
  static std::vector<float*> pointers(const std::vector<py::array>& arrays,
                                      const std::vector<int64_t>& floats, int64_t images,
                                      const std::string& what, bool writeable) {
    if (arrays.size() != floats.size()) {
      throw py::value_error(what + "s: expected " + std::to_string(floats.size()) +
                            " arrays, found " + std::to_string(arrays.size()));
    }
    std::vector<float*> result;
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      const std::string name = what + " " + std::to_string(i);
      const py::array& array = arrays[i];
      if (!py::isinstance<py::array_t<float>>(array) || !(array.flags() & py::array::c_style)) {
        throw py::type_error(name + " must be a C-contiguous float32 array");
      }
      if (writeable && !array.writeable()) throw py::value_error(name + " is read-only");
      if (array.ndim() < 1 || array.shape(0) != images || array.size() != images * floats[i]) {
        throw py::value_error(name + " must hold " + std::to_string(images) + " images of " +
                              std::to_string(floats[i]) + " values, found " +
                              std::to_string(array.size()) + " values");
      }
      result.push_back(const_cast<float*>(static_cast<const float*>(array.data())));
    }
    return result;
  }

  ProgramStorage storage_;
  std::vector<int64_t> input_floats_, output_floats_;
  std::unique_ptr<cpu::Executable> executable_;
};

std::vector<std::string> available_isas(bool strict) {
  std::vector<std::string> names;
  for (const cpu::Kernels* kernels : cpu::available_kernels()) {
    if (!(strict && kernels->split_products)) names.emplace_back(kernels->isa);
  }
  return names;
}

}  // namespace

void bind_cpu(py::module_& m) {
  py::class_<CpuExecutable>(m, "CpuExecutable", "A lowered program on the CPU.")
      .def(py::init([](const py::object& program, const std::optional<std::string>& isa) {
             return std::make_unique<CpuExecutable>(program, isa.value_or(""));
           }),
           py::arg("program"), py::arg("isa") = py::none())
      .def("run", &CpuExecutable::run, py::arg("inputs"), py::arg("outputs"), py::arg("threads"),
           "Runs a batch: arrays (n, h, w, c), float32, C-contiguous. Releases the GIL.")
      .def_property_readonly("isa", &CpuExecutable::isa);
  m.def("available_isas", &available_isas, py::arg("strict") = false,
        "Instruction sets that run here, best first; strict: those with plain float32 products.");
  m.def(
      "choose_isa", [] { return std::string(cpu::choose_kernels("").isa); },
      "The instruction set that FACEGEN_ISA names, or the best. Raises ValueError.");
  m.def("hardware_threads", &hardware_threads, "Processors that this process may use.");
  m.def(
      "measure_fma_peak",
      [](int threads, double seconds) {
        py::gil_scoped_release release;
        return cpu::measure_fma_peak(threads, seconds);
      },
      py::arg("threads"), py::arg("seconds") = 0.05,
      "GFLOP/s of independent fused multiply-adds in registers, the best ISA, all threads at once.");
}

}  // namespace facegen
