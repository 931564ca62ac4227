// The devices that a program can be fitted to: see python/facegen/nn/target.py. No GPU is needed.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>
#include <tuple>
#include <utility>

#include "bindings.h"
#include "cpu/dispatch.h"
#include "cpu/executable.h"
#include "cpu/gemm.h"
#include "cuda/fit/kernel.h"
#include "read_program.h"
#include "read_target.h"

namespace py = pybind11;

namespace facegen {
namespace {

// A kernel's rank (lower is better) and its name; nothing where no kernel does the step.
using Found = std::optional<std::pair<int, std::string>>;

class FitCpu {
 public:
  explicit FitCpu(const std::string& isa) : kernels_(cpu::choose_kernels(isa)) {}

  Found kernel(const py::object& step, const py::object& buffers) const {
    ProgramStorage storage(ProgramStorage::Shapes{}, buffers);
    const std::string name = cpu::find_kernel(storage.read_step(step), kernels_);
    if (name.empty()) return std::nullopt;
    return std::make_pair(0, name);
  }

  std::string why_not(const py::object& step, const py::object& buffers) const {
    ProgramStorage storage(ProgramStorage::Shapes{}, buffers);
    const Step s = storage.read_step(step);
    return s.op == Op::kGemm ? cpu::why_no_gemm(s, cpu::kernels_of(s, kernels_)) : "";
  }

  // Bytes of scratch memory, bytes of packed weights, multiplications.
  std::tuple<int64_t, int64_t, double> costs(const py::object& step,
                                             const py::object& buffers) const {
    ProgramStorage storage(ProgramStorage::Shapes{}, buffers);
    const Step s = storage.read_step(step);
    if (s.op != Op::kGemm) throw py::value_error("only products have costs");
    const cpu::Kernels& own = cpu::kernels_of(s, kernels_);
    if (cpu::find_gemm(s, own) == nullptr) throw py::value_error(cpu::why_no_gemm(s, own));
    const cpu::Costs costs = cpu::costs_of(s, own);
    return {costs.scratch_bytes, costs.weight_bytes, costs.multiplications};
  }

  // All that the CPU computes with is float32.
  std::string input_format(const py::object&, const py::object&) const { return "float32"; }
  std::string operand_format() const { return "float32"; }
  std::string value_format() const { return "float32"; }
  int pixel_channels() const { return 1; }
  std::string name() const { return std::string("cpu ") + kernels_.isa; }

 private:
  const cpu::Kernels& kernels_;
};

const char* format_name(Format format) {
  switch (format) {
    case Format::kFloat32: return "float32";
    case Format::kSplit: return "split";
    case Format::kHalf: return "half";
  }
  return "";
}

class FitCuda {
 public:
  FitCuda(int major, int minor, const std::string& precision, const std::string& kernels)
      : target_(read_target(major, minor, precision, kernels)), precision_(precision) {}

  Found kernel(const py::object& object, const py::object& buffers) const {
    ProgramStorage storage(ProgramStorage::Shapes{}, buffers);
    const Step step = storage.read_step(object);
    const auto layout = [&](const View& view) -> cuda::Layout {
      if (view.buffer < 0) return {};  // a Fill reads nothing
      return cuda::layout_of(storage.program().buffers[view.buffer]);
    };
    const cuda::Kernel kernel =
        cuda::find_kernel({step, layout(step.in), layout(step.out), target_});
    if (kernel == cuda::Kernel::kNone) return std::nullopt;
    return std::make_pair(static_cast<int>(kernel), cuda::kernel_name(kernel, step, target_));
  }

  std::string why_not(const py::object& object, const py::object& buffers) const {
    ProgramStorage storage(ProgramStorage::Shapes{}, buffers);
    return cuda::why_not_by_name(storage.read_step(object), target_);
  }

  std::string input_format(const py::object& object, const py::object& buffers) const {
    ProgramStorage storage(ProgramStorage::Shapes{}, buffers);
    const std::optional<Format> format = cuda::input_format(storage.read_step(object), target_);
    return format ? format_name(*format) : "any";
  }

  std::string name() const {
    return "sm_" + std::to_string(target_.major) + std::to_string(target_.minor) + " " + precision_;
  }
  std::string operand_format() const { return format_name(target_.operand_format()); }
  std::string value_format() const { return format_name(target_.value_format()); }
  int pixel_channels() const { return target_.hopper_gemms() ? 8 : 1; }

 private:
  cuda::Target target_;
  std::string precision_;
};

}  // namespace

void bind_fit(py::module_& m) {
  py::class_<FitCpu>(m, "FitCpu", "The CPU, as programs are fitted to it.")
      .def(py::init<const std::string&>(), py::arg("isa"))
      .def("kernel", &FitCpu::kernel, py::arg("step"), py::arg("buffers"))
      .def("why_not", &FitCpu::why_not, py::arg("step"), py::arg("buffers"))
      .def("costs", &FitCpu::costs, py::arg("step"), py::arg("buffers"),
           "Bytes of scratch memory and of packed weights, and multiplications, of one image.")
      .def("input_format", &FitCpu::input_format, py::arg("step"), py::arg("buffers"))
      .def_property_readonly("name", &FitCpu::name)
      .def_property_readonly("operand_format", &FitCpu::operand_format)
      .def_property_readonly("value_format", &FitCpu::value_format)
      .def_property_readonly("pixel_channels", &FitCpu::pixel_channels);
  py::class_<FitCuda>(m, "FitCuda", "A generation of GPUs, as programs are fitted to it.")
      .def(py::init<int, int, const std::string&, const std::string&>(), py::arg("major"),
           py::arg("minor"), py::arg("precision"), py::arg("kernels"))
      .def("kernel", &FitCuda::kernel, py::arg("step"), py::arg("buffers"))
      .def("why_not", &FitCuda::why_not, py::arg("step"), py::arg("buffers"))
      .def("input_format", &FitCuda::input_format, py::arg("step"), py::arg("buffers"))
      .def_property_readonly("name", &FitCuda::name)
      .def_property_readonly("operand_format", &FitCuda::operand_format)
      .def_property_readonly("value_format", &FitCuda::value_format)
      .def_property_readonly("pixel_channels", &FitCuda::pixel_channels);
}

}  // namespace facegen
