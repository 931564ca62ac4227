// What Python gives a step of training, checked against its program, for either engine.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <string>
#include <vector>

#include "training_batch.h"
#include "training_program.h"

namespace facegen {

// Raise TypeError or ValueError where arrays do not fit the program. The arrays must outlive the batch.
TrainingBatch read_training_inputs(const TrainingProgram& program,
                                   const std::vector<pybind11::array>& inputs);
TrainingBatch read_training_batch(const TrainingProgram& program,
                                  const std::vector<pybind11::array>& inputs,
                                  const std::vector<pybind11::array>& targets, pybind11::array& losses,
                                  const std::vector<double>& rates);

// The same of single arrays, each of so many images.
void check_counts(const TrainingProgram& program, int64_t images, std::size_t inputs, std::size_t targets);
void check_groups(const TrainingProgram& program, int64_t images);
void check_input(const TrainingValue& value, const pybind11::array& array, int64_t images);
void check_target(const TrainingProgram& program, const TrainingStep& loss, const pybind11::array& array,
                  int64_t images);
// (losses, images), or (steps, losses, images) where rank is 3.
void check_losses(const TrainingProgram& program, const pybind11::array& losses, pybind11::ssize_t rank);

void check_floats(const pybind11::array& array, const std::string& name, int64_t values);
std::vector<double> read_rates(const TrainingProgram& program, const std::vector<double>& rates);

// An array for what each loss is of, (images, height, width, channels), and where its numbers go.
std::vector<pybind11::array_t<float>> empty_predictions(const TrainingProgram& program, int64_t images,
                                                        std::vector<float*>& memory);

// What step(not_finite) gives; FloatingPointError with what it writes there, if anything.
template <typename Step>
double or_not_finite(const Step& step) {
  std::string not_finite;
  const double length = step(not_finite);
  if (!not_finite.empty()) {
    PyErr_SetString(PyExc_FloatingPointError, not_finite.c_str());
    throw pybind11::error_already_set();
  }
  return length;
}

}  // namespace facegen
