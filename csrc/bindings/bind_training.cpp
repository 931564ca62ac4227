#include <pybind11/stl.h>

#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "arguments.h"
#include "bindings.h"
#include "cpu/dispatch.h"
#include "cpu/training/executable.h"
#include "read_training.h"
#include "read_training_batch.h"
#include "without_gil.h"

namespace py = pybind11;

namespace facegen {
namespace {

// Ranks as Python has them (facegen.train.ranks): `exchange` is called with views of the memory.
cpu::Peers peers_of(const py::object& ranks) {
  cpu::Peers peers;
  peers.rank = ranks.attr("rank").cast<int>();
  peers.size = ranks.attr("size").cast<int>();
  peers.exchange = [ranks](int to, const void* sent, int from, void* received, int64_t bytes) {
    const py::gil_scoped_acquire acquire;
    const auto size = static_cast<py::ssize_t>(bytes);
    ranks.attr("exchange")(
        to, to < 0 ? py::object(py::none()) : py::object(py::memoryview::from_memory(sent, size)),
        from,
        from < 0 ? py::object(py::none()) : py::object(py::memoryview::from_memory(received, size)));
  };
  return peers;
}

// A training program on the CPU, with the arrays that it changes. Calls of several threads wait for
// each other: a step writes the arena, which a larger batch moves, and the gradients.
class CpuTraining {
 public:
  CpuTraining(const py::object& program, const py::dict& arrays, const std::string& isa)
      : storage_(program, arrays) {
    const cpu::Kernels& kernels = cpu::choose_kernels(isa);
    executable_ = without_gil(
        [&] { return std::make_unique<cpu::TrainingExecutable>(storage_.program, kernels); });
  }

  double step(const std::vector<py::array>& inputs, const std::vector<py::array>& targets,
              py::array& losses, const std::vector<double>& rates, uint64_t seed, uint64_t number,
              bool update, int64_t threads, std::optional<int64_t> part_images, bool predicted,
              const py::object& ranks) {
    cpu::TrainingExecutable::Batch batch = {
        read_training_batch(storage_.program, inputs, targets, losses, rates)};
    batch.seed = seed;
    batch.step = number;
    batch.update = update;
    batch.predicted = predicted;
    batch.threads = checked_threads(threads);
    batch.part_images = part_images.value_or(batch.images);
    const int64_t chunks = batch.part_images / kChunkImages;
    const bool node = batch.part_images > 0 && batch.part_images % kChunkImages == 0 &&
                      (chunks & (chunks - 1)) == 0;
    if (batch.part_images < batch.images && !node) {
      throw py::value_error("a part must have all images, or " + std::to_string(kChunkImages) +
                            " times a power of 2, not " + std::to_string(batch.part_images));
    }
    cpu::Peers peers;
    if (!ranks.is_none()) {
      peers = peers_of(ranks);
      if (batch.images > batch.part_images * peers.size) {
        throw py::value_error("the parts of " + std::to_string(peers.size) +
                              " ranks must have all images");
      }
      batch.peers = &peers;
    }
    return while_finite([&] { return executable_->run(batch); });
  }

  int64_t found_floats() const { return executable_->found_floats(); }

  py::array_t<float> found() const {
    py::array_t<float> copy(executable_->found_floats());
    float* const data = copy.mutable_data();
    alone([&] { executable_->copy_found(data); });
    return copy;
  }

  double apply(const py::array& found, int64_t images, const std::vector<double>& rates,
               uint64_t seed, uint64_t number, int64_t threads) {
    check_floats(found, "found", executable_->found_floats());
    if (images < 1) throw py::value_error("a batch must have at least 1 image");
    cpu::TrainingExecutable::Batch batch = {};
    batch.images = images;
    batch.rates = read_rates(storage_.program, rates);
    batch.seed = seed;
    batch.step = number;
    batch.threads = checked_threads(threads);
    const auto* const data = static_cast<const float*>(found.data());
    return while_finite([&] { return executable_->apply(batch, data); });
  }

  // What the losses are of, (images, height, width, channels) each, by the forward pass alone.
  std::vector<py::array_t<float>> predict(const std::vector<py::array>& inputs, uint64_t seed,
                                          uint64_t number, int64_t threads) {
    cpu::TrainingExecutable::Batch batch = {read_training_inputs(storage_.program, inputs)};
    batch.seed = seed;
    batch.step = number;
    batch.threads = checked_threads(threads);
    std::vector<float*> memory;
    std::vector<py::array_t<float>> outputs = empty_predictions(storage_.program, batch.images, memory);
    alone([&] {
      executable_->predict(batch, memory);
      return 0;
    });
    return outputs;
  }

  py::array_t<float> gradient(const std::string& name) const {
    const auto& arrays = storage_.program.arrays;
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      if (arrays[i].name != name || executable_->gradient(i) == nullptr) continue;
      const py::array& like = storage_.kept[i];
      py::array_t<float> copy(std::vector<py::ssize_t>(like.shape(), like.shape() + like.ndim()));
      float* const data = copy.mutable_data();
      alone([&] { std::copy_n(executable_->gradient(i), arrays[i].floats, data); });
      return copy;
    }
    throw py::key_error(name);
  }

  // (images, height, width, channels) of the last run; KeyError where there is none.
  py::array_t<float> kept(std::size_t number) const {
    const TrainingProgram& program = storage_.program;
    if (number >= program.kept.size()) throw py::key_error(std::to_string(number));
    const auto& v = program.values[std::size_t(program.kept[number])];
    const int64_t images = alone([&] { return executable_->last_images(); });
    py::array_t<float> copy({images, int64_t{v.h}, int64_t{v.w}, int64_t{v.c}});
    float* const data = copy.mutable_data();
    const bool same = alone([&] {
      if (executable_->last_images() != images) return false;
      std::copy_n(executable_->kept(number), images * v.floats(), data);
      return true;
    });
    if (!same) throw std::runtime_error("another thread has begun a step meanwhile");
    return copy;
  }

  std::vector<std::string> kernels() const {
    std::vector<std::string> names;
    for (std::size_t i = 0; i < storage_.program.steps.size(); ++i) {
      names.emplace_back(executable_->implementation(i));
    }
    return names;
  }

  std::vector<double> step_seconds() const {
    return alone([&] { return executable_->seconds(); });
  }
  std::string isa() const { return executable_->kernels().isa; }
  int64_t memory_bytes() const {
    return alone([&] { return executable_->memory_bytes(); });
  }

 private:
  // What body() gives, computed while no other thread is here. The lock is taken and given back
  // without the GIL: a thread that waited for it with the GIL could stop the one that has it.
  template <typename Body>
  auto alone(Body&& body) const -> decltype(body()) {
    return without_gil([&] {
      const std::lock_guard lock(mutex_);
      return body();
    });
  }

  // The length that body() gives; FloatingPointError where it says that a number is not finite.
  template <typename Body>
  double while_finite(Body&& body) const {
    return or_not_finite([&](std::string& not_finite) {
      return alone([&] {
        try {
          return body();
        } catch (const std::domain_error& error) {
          not_finite = error.what();
          return 0.0;
        }
      });
    });
  }

  TrainingStorage storage_;
  std::unique_ptr<cpu::TrainingExecutable> executable_;
  mutable std::mutex mutex_;  // of executable_
};

}  // namespace

void bind_training(py::module_& m) {
  py::class_<CpuTraining>(m, "CpuTraining", "A training program on the CPU.")
      .def(py::init([](const py::object& program, const py::dict& arrays,
                       const std::optional<std::string>& isa) {
             return std::make_unique<CpuTraining>(program, arrays, isa.value_or(""));
           }),
           py::arg("program"), py::arg("arrays"), py::arg("isa") = py::none())
      .def("step", &CpuTraining::step, py::arg("inputs"), py::arg("targets"), py::arg("losses"),
           py::arg("rates"), py::arg("seed"), py::arg("number"), py::arg("update"),
           py::arg("threads"), py::arg("part_images") = py::none(), py::arg("predicted") = false,
           py::arg("ranks") = py::none(),
           "One step on a batch, all of it at once or so many images; fills losses (losses, images), "
           "float64, and returns the gradient's length. With ranks, each computes its part: the "
           "losses that it fills are of that. "
           "Raises FloatingPointError where a number is not finite. Releases the GIL; calls of "
           "several threads wait for each other.")
      .def("predict", &CpuTraining::predict, py::arg("inputs"), py::arg("seed"), py::arg("number"),
           py::arg("threads"),
           "What each loss is of, by the forward pass alone; changes nothing. Releases the GIL.")
      .def("found", &CpuTraining::found,
           "What the last step found in its batch, as apply takes it: all gradients, and the "
           "statistics of batch norms; a copy.")
      .def_property_readonly("found_floats", &CpuTraining::found_floats, "How many there are.")
      .def("apply", &CpuTraining::apply, py::arg("found"), py::arg("images"), py::arg("rates"),
           py::arg("seed"), py::arg("number"), py::arg("threads"),
           "The update by what a step found in a batch of so many images, maybe in another process; "
           "returns and raises as step does, and releases the GIL.")
      .def("gradient", &CpuTraining::gradient, py::arg("parameter"),
           "A copy of the last step's gradient in a parameter; KeyError where it has none.")
      .def("kept", &CpuTraining::kept, py::arg("number"),
           "A copy of a value of the last step, of those that the program keeps.")
      .def_property_readonly("kernels", &CpuTraining::kernels, "Of every step; empty for most.")
      .def_property_readonly("step_seconds", &CpuTraining::step_seconds, "Of the last run.")
      .def_property_readonly("isa", &CpuTraining::isa)
      .def_property_readonly("memory_bytes", &CpuTraining::memory_bytes,
                             "Of the arena for the largest batch so far, and of gradients.");
  m.attr("CHUNK_IMAGES") = kChunkImages;
  m.attr("ELSEWHERE") = cpu::kElsewhere;
}

}  // namespace facegen
