#include <pybind11/stl.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "arguments.h"
#include "batch_arrays.h"
#include "bindings.h"
#include "cpu/dispatch.h"
#include "cpu/executable.h"
#include "cpu/fma_peak.h"
#include "cpu/matmul.h"
#include "cpu/result_pool.h"
#include "cpu/strassen.h"
#include "read_program.h"
#include "threads.h"
#include "without_gil.h"

namespace py = pybind11;

namespace facegen {
namespace {

// A Program on the CPU, with the arrays that it points to.
class CpuExecutable {
 public:
  CpuExecutable(const py::object& program, const std::string& isa, int64_t threads)
      : storage_(program), arrays_(storage_.program()) {
    const cpu::Kernels& kernels = cpu::choose_kernels(isa);
    const int some = checked_threads(threads);
    executable_ = without_gil(
        [&] { return std::make_unique<cpu::Executable>(storage_.program(), kernels, some); });
    storage_.release_weights();
  }

  void run(const std::vector<py::array>& inputs, const std::vector<py::array>& outputs,
           int64_t threads) const {
    const BatchArrays::Batch batch = arrays_.check(inputs, outputs);
    const int some = checked_threads(threads);
    without_gil([&] {
      executable_->run(batch.images, batch.inputs.data(), batch.outputs.data(), some);
    });
  }

  std::string isa() const { return executable_->kernels().isa; }

 private:
  ProgramStorage storage_;
  BatchArrays arrays_;
  std::unique_ptr<cpu::Executable> executable_;
};

std::vector<std::string> available_isas(const std::string& precision) {
  if (precision != "float32" && precision != "strict" && precision != "bfloat16") {
    throw py::value_error("the CPU has the precisions float32, strict and bfloat16, not " + precision);
  }
  std::vector<std::string> names;
  for (const cpu::Kernels* kernels : precision == "bfloat16" ? cpu::available_bfloat16_kernels()
                                                             : cpu::available_kernels()) {
    if (precision == "strict" && kernels->products != cpu::Products::kFloat32) continue;
    names.emplace_back(kernels->isa);
  }
  return names;
}

// Lives as long as the process: arrays may outlive the module.
constexpr int64_t kPooledBytes = int64_t{512} << 20;
cpu::ResultPool& result_pool() {
  static auto* pool = new cpu::ResultPool(kPooledBytes);
  return *pool;
}

py::array empty_pooled(const std::vector<py::ssize_t>& shape, const py::dtype& dtype) {
  const int64_t bytes = checked_bytes(shape, dtype.itemsize());
  auto block = std::make_unique<cpu::ResultPool::Block>(result_pool().take(bytes));
  void* memory = block->memory.get();
  const py::capsule owner(block.release(), [](void* p) {
    std::unique_ptr<cpu::ResultPool::Block> returned(static_cast<cpu::ResultPool::Block*>(p));
    result_pool().give_back(std::move(*returned));
  });
  return py::array(dtype, shape, memory, owner);
}

using Matrix = py::array_t<float, py::array::c_style>;

void matmul(const Matrix& a, const Matrix& b, Matrix& out, const std::string& algorithm,
            const std::optional<std::string>& isa, int64_t threads) {
  if (a.ndim() != 2 || b.ndim() != 2 || out.ndim() != 2 || a.shape(1) != b.shape(0) ||
      out.shape(0) != a.shape(0) || out.shape(1) != b.shape(1)) {
    throw py::value_error("matrices that do not fit together");
  }
  for (const Matrix* matrix : {&a, &b, static_cast<const Matrix*>(&out)}) {
    require_aligned(*matrix, "a matrix");
  }
  if (a.shape(1) == 0 || out.size() == 0) throw py::value_error("a matrix without numbers");
  const cpu::Kernels& chosen = cpu::choose_kernels(isa.value_or(""));
  const cpu::Kernels& kernels = chosen.vectors != nullptr ? *chosen.vectors() : chosen;
  if (kernels.products != cpu::Products::kFloat32) {
    throw py::value_error("matrices are multiplied in float32");
  }
  const int some = checked_threads(threads);
  const cpu::Matmul product = {a.shape(0), a.shape(1), b.shape(1), a.data(), b.data(),
                               out.mutable_data()};
  int levels = 0;
  if (algorithm == "strassen") {
    levels = std::max(1, cpu::strassen_levels(product.rows, product.depth, product.columns));
  } else if (algorithm != "naive" && algorithm != "blocked") {
    throw py::value_error("unknown algorithm " + algorithm);
  }
  without_gil([&] {
    if (algorithm == "naive") return cpu::naive_matmul(product, some);
    cpu::blocked_matmul(product, levels, kernels, some);
  });
}

}  // namespace

void bind_cpu(py::module_& m) {
  py::class_<CpuExecutable>(m, "CpuExecutable", "A lowered program on the CPU.")
      .def(py::init([](const py::object& program, const std::optional<std::string>& isa,
                       int64_t threads) {
             return std::make_unique<CpuExecutable>(program, isa.value_or(""), threads);
           }),
           py::arg("program"), py::arg("isa") = py::none(), py::arg("threads") = 1,
           "`threads` pack the weights.")
      .def("run", &CpuExecutable::run, py::arg("inputs"), py::arg("outputs"), py::arg("threads"),
           "Runs a batch: arrays (n, h, w, c), float32, C-contiguous. Releases the GIL.")
      .def_property_readonly("isa", &CpuExecutable::isa);
  m.def("empty_pooled", &empty_pooled, py::arg("shape"), py::arg("dtype"),
        "An uninitialised array whose memory goes to the next one of its size when it is gone.");
  m.def("available_isas", &available_isas, py::arg("precision") = "float32",
        "Names of the kernels that run here, best first: instruction sets; strict: those with plain "
        "float32 products; bfloat16: \"amx_bfloat16\".");
  m.def("matmul", &matmul, py::arg("a").noconvert(), py::arg("b").noconvert(),
        py::arg("out").noconvert(), py::arg("algorithm"), py::arg("isa") = py::none(),
        py::arg("threads") = 1,
        "out = a b, of float32 in C order, by naive, blocked or strassen. Releases the GIL.");
  m.def(
      "choose_isa", [] { return std::string(cpu::choose_kernels("").isa); },
      "The instruction set that FACEGEN_ISA names, or the best. Raises ValueError.");
  m.def("most_threads", &most_threads,
        "Most threads that are ever used: the machine's processors, or 16 where there are fewer.");
  m.def(
      "measure_fma_peak",
      [](int64_t threads, double seconds) {
        const int some = checked_threads(threads);
        return without_gil([&] { return cpu::measure_fma_peak(some, seconds); });
      },
      py::arg("threads"), py::arg("seconds") = 0.05,
      "GFLOP/s of independent fused multiply-adds in registers, the best ISA, all threads at once.");
}

}  // namespace facegen
