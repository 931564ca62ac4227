#include <pybind11/stl.h>

#include <algorithm>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

#include "arguments.h"
#include "bind_cuda_training.h"
#include "cuda_peers.h"
#include "cuda/runtime/error.h"
#include "cuda/runtime/forked.h"
#include "cuda/training/executable.h"
#include "device_array.h"
#include "read_cuda_steps.h"
#include "read_sources.h"
#include "read_training.h"
#include "read_training_batch.h"
#include "without_gil.h"

namespace py = pybind11;

namespace facegen {
namespace {

// A data set on a GPU.
class CudaHeld {
 public:
  explicit CudaHeld(std::shared_ptr<const cuda::HeldArrays> arrays) : arrays_(std::move(arrays)) {}
  const cuda::HeldArrays& arrays() const { return *arrays_; }

 private:
  std::shared_ptr<const cuda::HeldArrays> arrays_;
};

// A forked child leaves all that its parent has on a GPU alone.
struct Delete {
  template <typename Owner>
  void operator()(Owner* owner) const {
    if (!cuda::is_forked()) delete owner;
  }
};

// A training program on a GPU, with the arrays that it changes. Calls of several threads wait for each
// other.
class CudaTraining {
 public:
  CudaTraining(const py::object& program, const py::dict& arrays, int device, const std::string& kernels,
               const std::string& precision, const CudaPeers* peers, int shares, int64_t threads)
      : storage_(program, arrays) {
    using cuda::ProductKernels, cuda::ProductPrecision;
    const std::map<std::string, ProductKernels> known = {
        {"auto", ProductKernels::kAuto}, {"mma", ProductKernels::kGeneric}, {"wgmma", ProductKernels::kHopper}};
    const std::map<std::string, ProductPrecision> precisions = {{"float32", ProductPrecision::kFloat32},
                                                                {"bfloat16", ProductPrecision::kBfloat16},
                                                                {"float16", ProductPrecision::kFloat16}};
    const auto chosen = known.find(kernels);
    if (chosen == known.end()) throw py::value_error("kernels must be auto, mma or wgmma, not " + kernels);
    const auto of_products = precisions.find(precision);
    if (of_products == precisions.end()) {
      throw py::value_error("precision must be float32, bfloat16 or float16, not " + precision);
    }
    if (shares < 1 || (shares & (shares - 1)) != 0) throw py::value_error("shares must be a power of 2");
    const cuda::Sharing sharing = {peers == nullptr ? nullptr : peers->get(), shares};
    const int copiers = checked_threads(threads);
    executable_.reset(in_words([&] {
      return new cuda::TrainingExecutable(storage_.program, device, chosen->second, of_products->second,
                                          sharing, copiers);
    }));
  }

  std::unique_ptr<CudaHeld, Delete> hold(const std::vector<py::object>& inputs,
                                         const std::vector<py::object>& targets, int64_t images) {
    const Sources sources = read_sources(storage_.program, inputs, targets, images);
    return std::unique_ptr<CudaHeld, Delete>(new CudaHeld(
        alone([&] { return executable_->hold(images, sources.inputs, sources.targets); })));
  }

  // How many steps are done, and what stopped the next: empty, or where a number was not finite.
  using Result = std::pair<int64_t, std::string>;

  Result step(const std::vector<py::object>& inputs, const std::vector<py::object>& targets,
              const py::array& losses, const py::array& lengths, const py::array& rates, uint64_t seed,
              uint64_t number, bool update, int64_t part_images, bool predicted) {
    return run_steps(
        read_batch(inputs, targets, losses, lengths, rates, seed, number, update, part_images, predicted));
  }

  // None where the step has to be waited for.
  std::optional<bool> begin(const std::vector<py::object>& inputs, const std::vector<py::object>& targets,
                            const py::array& losses, const py::array& lengths, const py::array& rates,
                            uint64_t seed, uint64_t number, bool update, int64_t part_images, bool predicted) {
    const cuda::Steps steps =
        read_batch(inputs, targets, losses, lengths, rates, seed, number, update, part_images, predicted);
    using Beginning = cuda::TrainingExecutable::Beginning;
    const Beginning beginning = alone([&] { return executable_->begin(steps); });
    if (beginning == Beginning::kRun) return std::nullopt;
    return beginning == Beginning::kBegun;
  }

  std::size_t begun() const {
    return alone([&] { return executable_->begun(); });
  }

  Result finish(const py::array_t<double, py::array::c_style>& losses,
                const py::array_t<double, py::array::c_style>& lengths) {
    const int64_t count = executable_->loss_count();
    if (losses.ndim() != 3 || losses.shape(0) != 1 || losses.shape(1) != count || lengths.size() != 1 ||
        !losses.writeable() || !lengths.writeable()) {
      throw py::type_error("losses and lengths must be those of the step");
    }
    const int64_t images = losses.shape(2);
    auto* const to = static_cast<double*>(const_cast<void*>(static_cast<const py::array&>(losses).data()));
    auto* const length = static_cast<double*>(const_cast<void*>(static_cast<const py::array&>(lengths).data()));
    const cuda::Outcome outcome = alone([&] {
      if (executable_->begun_images() != images) throw std::invalid_argument("the oldest step has other images");
      return executable_->finish(to, length);
    });
    not_finite_at_ = outcome.where;
    return {outcome.steps, outcome.not_finite};
  }

  Result run(const CudaHeld& held, const py::array& rows, const py::array& losses, const py::array& lengths,
             const py::array& rates, uint64_t seed, uint64_t number, int64_t part_images) {
    cuda::Steps steps = read_steps(storage_.program, losses, lengths, rates, part_images);
    const cuda::HeldArrays& arrays = held.arrays();
    if (!executable_->takes(arrays)) throw py::value_error("a data set of another network or GPU");
    if (!py::isinstance<py::array_t<int32_t, py::array::c_style>>(rows) || rows.ndim() != 2 ||
        rows.shape(0) != steps.count || rows.shape(1) != steps.images) {
      throw py::type_error("rows must be a C-contiguous int32 array (steps, images)");
    }
    require_aligned(rows, "rows");
    steps.held = &arrays;
    steps.rows = static_cast<const int32_t*>(rows.data());
    for (py::ssize_t i = 0; i < rows.size(); ++i) {
      if (steps.rows[i] < 0 || steps.rows[i] >= arrays.images) throw py::value_error("rows out of range");
    }
    steps.seed = seed;
    steps.first = number;
    return run_steps(steps);
  }

  std::vector<py::array_t<float>> predict(const std::vector<py::object>& inputs, int64_t images,
                                          uint64_t seed, uint64_t number) {
    std::vector<float*> memory;
    std::vector<py::array_t<float>> outputs = empty_predictions(storage_.program, images, memory);
    if (!run_forward(inputs, images, seed, number, memory, {})) throw std::logic_error("steps are not finished");
    return outputs;
  }

  // As predict(), gradient() and kept(), to arrays on this GPU.
  bool put_predictions(const std::vector<py::object>& inputs, int64_t images, uint64_t seed, uint64_t number,
                       const std::vector<DeviceArray*>& to) {
    std::vector<float*> memory;
    for (const TrainingStep& step : storage_.program.steps) {
      if (step.op != TrainingOp::kLoss) continue;
      const std::size_t i = memory.size();
      if (i == to.size()) throw py::value_error("expected an array for each loss");
      memory.push_back(floats_of(*to[i], images * storage_.program.values[std::size_t(step.x)].floats()));
    }
    if (!run_forward(inputs, images, seed, number, memory, to)) return false;
    for (DeviceArray* array : to) record(*array);
    return true;
  }
  void put_gradient(const std::string& name, DeviceArray& to) {
    const std::size_t i = trained(name);
    put(to, storage_.program.arrays[i].floats, [&](float* data) { executable_->copy_gradient(i, data); });
  }
  // Behind a step that was not waited for this waits for nothing; ranks wait for each other.
  void put_kept(std::size_t number, DeviceArray& to) {
    const int64_t images = last_images();
    put(to, images * kept_value(number).floats(),
        [&](float* data) { executable_->copy_kept(number, images, data); });
  }
  int64_t last_images() const {
    return alone([&] { return executable_->last_images(); });
  }

  py::array_t<float> gradient(const std::string& name) const {
    const std::size_t i = trained(name);
    const py::array& like = storage_.kept[i];
    py::array_t<float> copy(std::vector<py::ssize_t>(like.shape(), like.shape() + like.ndim()));
    float* const data = copy.mutable_data();
    alone([&] {
      executable_->copy_gradient(i, data);
      executable_->wait();
      return 0;
    });
    return copy;
  }

  // (images, height, width, channels) of the last run; KeyError where there is none.
  py::array_t<float> kept(std::size_t number) const {
    const TrainingValue& v = kept_value(number);
    const int64_t images = last_images();
    py::array_t<float> copy({images, int64_t{v.h}, int64_t{v.w}, int64_t{v.c}});
    float* const data = copy.mutable_data();
    alone([&] {
      executable_->copy_kept(number, images, data);
      executable_->wait();
      return 0;
    });
    return copy;
  }

  // The step of the program in whose result the last call found a number that is not finite.
  int64_t not_finite_at() const { return not_finite_at_; }

  void download() {
    alone([&] {
      executable_->download();
      return 0;
    });
  }
  void upload() {
    alone([&] {
      executable_->upload();
      return 0;
    });
  }
  std::vector<double> time_steps() {
    return alone([&] { return executable_->time_steps(); });
  }
  std::vector<std::string> kernels() const {
    return alone([&] { return executable_->kernel_names(); });
  }
  int64_t memory_bytes() const {
    return alone([&] { return executable_->memory_bytes(); });
  }

 private:
  Result run_steps(const cuda::Steps& steps) {
    const cuda::Outcome outcome = alone([&] { return executable_->run(steps); });
    not_finite_at_ = outcome.where;
    return {outcome.steps, outcome.not_finite};
  }

  std::size_t trained(const std::string& name) const {
    const auto& arrays = storage_.program.arrays;
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      if (arrays[i].name == name && executable_->has_gradient(i)) return i;
    }
    throw py::key_error(name);
  }

  const TrainingValue& kept_value(std::size_t number) const {
    const TrainingProgram& program = storage_.program;
    if (number >= program.kept.size()) throw py::key_error(std::to_string(number));
    return program.values[std::size_t(program.kept[number])];
  }

  cuda::Steps read_batch(const std::vector<py::object>& inputs, const std::vector<py::object>& targets,
                         const py::array& losses, const py::array& lengths, const py::array& rates, uint64_t seed,
                         uint64_t number, bool update, int64_t part_images, bool predicted) const {
    cuda::Steps steps = read_steps(storage_.program, losses, lengths, rates, part_images);
    if (steps.count != 1) throw py::value_error("a batch is one step's");
    Sources sources = read_sources(storage_.program, inputs, targets, steps.images);
    steps.inputs = std::move(sources.inputs);
    steps.targets = std::move(sources.targets);
    steps.seed = seed;
    steps.first = number;
    steps.update = update;
    steps.predicted = predicted;
    return steps;
  }

  // Waited for where there are no DeviceArrays, and where an input is another library's array, of which nobody knows
  // how long it lives.
  bool run_forward(const std::vector<py::object>& inputs, int64_t images, uint64_t seed, uint64_t number,
                   const std::vector<float*>& outputs, const std::vector<DeviceArray*>& to) const {
    cuda::Steps steps;
    steps.inputs = read_input_sources(storage_.program, inputs, images);
    steps.images = images;
    steps.seed = seed;
    steps.first = number;
    const auto is_others = [](const cuda::Source& piece) { return piece.on_device && piece.block == nullptr; };
    const bool waits = to.empty() || std::any_of(steps.inputs.begin(), steps.inputs.end(), [&](const auto& pieces) {
      return std::any_of(pieces.begin(), pieces.end(), is_others);
    });
    return alone([&] {
      for (const DeviceArray* array : to) array->block().wait_unused(executable_->stream());
      const bool done = executable_->predict(steps, outputs);
      if (done && waits) executable_->wait();
      return done;
    });
  }

  float* floats_of(const DeviceArray& array, int64_t floats) const {
    const int64_t bytes = checked_bytes(array.shape(), 4);
    if (array.dtype() != "float32" || array.device() != executable_->device() || bytes != 4 * floats) {
      throw py::value_error("expected an array of " + std::to_string(floats) + " float32 on this GPU");
    }
    return reinterpret_cast<float*>(array.pointer());
  }
  // Its numbers are there.
  void record(DeviceArray& array) const {
    array.record(reinterpret_cast<intptr_t>(executable_->stream()), py::none());
  }

  template <typename Copy>
  void put(DeviceArray& to, int64_t floats, const Copy& copy) const {
    float* const data = floats_of(to, floats);
    alone([&] {
      to.block().wait_unused(executable_->stream());
      copy(data);
      return 0;
    });
    record(to);
  }

  // What body() gives, computed while no other thread is here.
  template <typename Body>
  auto alone(Body&& body) const -> decltype(body()) {
    return in_words([&] {
      const std::lock_guard lock(mutex_);
      return body();
    });
  }

  // What body() gives, without the GIL; MemoryError where the GPU has too little.
  template <typename Body>
  static auto in_words(Body&& body) -> decltype(body()) {
    cuda::require_not_forked();
    std::string no_memory;
    try {
      return without_gil(body);
    } catch (const cuda::Error& error) {
      if (error.code != cudaErrorMemoryAllocation) throw;
      no_memory = std::string("the GPU has too little memory: ") + error.what();
    }
    PyErr_SetString(PyExc_MemoryError, no_memory.c_str());
    throw py::error_already_set();
  }

  TrainingStorage storage_;
  std::unique_ptr<cuda::TrainingExecutable, Delete> executable_;
  int64_t not_finite_at_ = -1;
  mutable std::mutex mutex_;  // of executable_
};

}  // namespace

void bind_cuda_training(py::module_& m) {
  py::class_<CudaHeld, std::unique_ptr<CudaHeld, Delete>>(m, "CudaHeld", "A data set on a GPU.");
  bind_cuda_peers(m);
  py::class_<CudaTraining>(m, "CudaTraining", "A training program on a GPU.")
      .def(py::init<const py::object&, const py::dict&, int, const std::string&, const std::string&,
                    const CudaPeers*, int, int64_t>(),
           py::arg("program"), py::arg("arrays"), py::arg("device") = 0, py::arg("kernels") = "auto",
           py::arg("precision") = "float32", py::arg("peers") = py::none(), py::arg("shares") = 1, py::kw_only(),
           py::arg("threads"))
      .def("hold", &CudaTraining::hold, py::arg("inputs"), py::arg("targets"), py::arg("images"),
           "Copies a data set to the GPU, for run. Arrays are NumPy's, or tuples of what is on the GPU: name, "
           "pointer, element, (h, w, c), strides of (n, h, w, c) in elements, stream or the DeviceArray that it is; "
           "or tuples of pieces: whether they are interleaved, and [(images, piece), ...].")
      .def("step", &CudaTraining::step, py::arg("inputs"), py::arg("targets"), py::arg("losses"),
           py::arg("lengths"), py::arg("rates"), py::arg("seed"), py::arg("number"), py::arg("update"),
           py::arg("part_images"), py::arg("predicted"),
           "One step on a batch of such arrays; fills losses (1, losses, images) and lengths (1,), float64. "
           "Gives how many steps are done, and in words where the next one's numbers were not finite. Releases "
           "the GIL; calls of several threads wait for each other.")
      .def("begin", &CudaTraining::begin, py::arg("inputs"), py::arg("targets"), py::arg("losses"),
           py::arg("lengths"), py::arg("rates"), py::arg("seed"), py::arg("number"), py::arg("update"),
           py::arg("part_images"), py::arg("predicted"),
           "Enqueues a step that finish() ends, given losses and lengths of these shapes. Arrays of the host have "
           "been read when it returns; those on the GPU are read in the order of their streams, and their owners "
           "have to live until then. False where steps have to be finished first, of which there are at most "
           "most_begun; None where none is under way, and there is too little memory but for step, maybe.")
      .def("finish", &CudaTraining::finish, py::arg("losses").noconvert(), py::arg("lengths").noconvert(),
           "Waits for the oldest step that was begun; fills and gives what step does. One whose numbers are not "
           "finite ends those behind it: they have changed nothing, and the first of its losses is NaN.")
      .def_property_readonly("begun", &CudaTraining::begun, "How many steps were begun and not finished.")
      .def_property_readonly_static(
          "most_begun", [](const py::object&) { return cuda::TrainingExecutable::kMostBegun; },
          "How many steps may be under way.")
      .def("run", &CudaTraining::run, py::arg("held"), py::arg("rows"), py::arg("losses"),
           py::arg("lengths"), py::arg("rates"), py::arg("seed"), py::arg("number"), py::arg("part_images"),
           "Steps on rows (steps, images) of a data set; as step.")
      .def("predict", &CudaTraining::predict, py::arg("inputs"), py::arg("images"), py::arg("seed"),
           py::arg("number"),
           "What each loss is of, by the forward pass alone; changes nothing. Releases the GIL.")
      .def("put_predictions", &CudaTraining::put_predictions, py::arg("inputs"), py::arg("images"),
           py::arg("seed"), py::arg("number"), py::arg("to"),
           "As predict, to DeviceArrays, and behind steps that are not finished; False as of begin.")
      .def("gradient", &CudaTraining::gradient, py::arg("parameter"),
           "A copy of the last step's gradient in a parameter; KeyError where it has none.")
      .def("kept", &CudaTraining::kept, py::arg("number"),
           "A copy of a value of the last step, of those that the program keeps. Ranks, which all ask alike, get that "
           "of the whole batch.")
      .def("put_gradient", &CudaTraining::put_gradient, py::arg("parameter"), py::arg("to"),
           "As gradient, to a DeviceArray.")
      .def("put_kept", &CudaTraining::put_kept, py::arg("number"), py::arg("to"),
           "As kept, to a DeviceArray.")
      .def_property_readonly("last_images", &CudaTraining::last_images, "Of values that are kept.")
      .def_property_readonly("not_finite_at", &CudaTraining::not_finite_at,
                             "The step of the program in whose result the last call found a number that is "
                             "not finite; -1 where that was given.")
      .def("download", &CudaTraining::download,
           "Makes the caller's arrays what the steps have made of them on the GPU.")
      .def("upload", &CudaTraining::upload, "Makes the GPU's arrays what the caller's are.")
      .def("time_steps", &CudaTraining::time_steps,
           "Seconds of every step on the last batch, each launched alone; 0 of what updates. Values and "
           "gradients of that batch are lost.")
      .def_property_readonly("kernels", &CudaTraining::kernels,
                             "What computes each step's product on the last batch; empty for other steps.")
      .def_property_readonly("memory_bytes", &CudaTraining::memory_bytes,
                             "On the GPU, of values for the largest batch so far, and of gradients.");
}

}  // namespace facegen
