#include "read_cuda_steps.h"

#include <string>

#include "read_training_batch.h"

namespace py = pybind11;

namespace facegen {
namespace {

using Doubles = py::array_t<double, py::array::c_style>;

}  // namespace

cuda::Steps read_steps(const TrainingProgram& program, const py::array& losses, const py::array& lengths,
                       const py::array& rates, int64_t part_images) {
  check_losses(program, losses, 3);
  cuda::Steps steps;
  steps.count = losses.shape(0);
  steps.images = losses.shape(2);
  steps.part_images = part_images;
  if (steps.count < 1 || steps.images < 1) throw py::value_error("a batch must have at least 1 image");
  check_groups(program, steps.images);
  const int64_t chunks = part_images / kChunkImages;
  const bool node =
      part_images > 0 && part_images % kChunkImages == 0 && (chunks & (chunks - 1)) == 0;
  if (part_images < steps.images && !node) {
    throw py::value_error("a part must have all images, or " + std::to_string(kChunkImages) +
                          " times a power of 2, not " + std::to_string(part_images));
  }
  if (!py::isinstance<Doubles>(lengths) || lengths.size() != steps.count || !lengths.writeable()) {
    throw py::type_error("lengths must be a writeable float64 array (steps,)");
  }
  if (!py::isinstance<Doubles>(rates) || rates.ndim() != 2 || rates.shape(0) != steps.count ||
      rates.shape(1) < program.rate_groups) {
    throw py::type_error("rates must be a float64 array (steps, groups)");
  }
  steps.rates_a_step = rates.shape(1);
  steps.losses = static_cast<double*>(const_cast<void*>(losses.data()));
  steps.lengths = static_cast<double*>(const_cast<void*>(lengths.data()));
  steps.rates = static_cast<const double*>(rates.data());
  return steps;
}

}  // namespace facegen
