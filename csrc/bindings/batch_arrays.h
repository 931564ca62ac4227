// The arrays of a batch, checked against the inputs and outputs of a program.
#pragma once

#include <pybind11/numpy.h>

#include <cstdint>
#include <string>
#include <vector>

#include "program.h"

namespace facegen {

class BatchArrays {
 public:
  explicit BatchArrays(const Program& program);

  struct Batch {
    int64_t images;
    std::vector<float*> inputs, outputs;  // the inputs are only ever read
  };
  // Raises TypeError or ValueError where an array's type, size or layout does not fit.
  Batch check(const std::vector<pybind11::array>& inputs,
              const std::vector<pybind11::array>& outputs) const;

  // The same where arrays may be uint8, too.
  struct Item {
    void* data;
    bool is_uint8;
    int64_t values;  // of an image
  };
  struct Items {
    int64_t images;
    std::vector<Item> inputs, outputs;
  };
  Items check_items(const std::vector<pybind11::array>& inputs,
                    const std::vector<pybind11::array>& outputs) const;

  const std::vector<int64_t>& input_floats() const { return input_floats_; }
  const std::vector<int64_t>& output_floats() const { return output_floats_; }

 private:
  static std::vector<Item> items(const std::vector<pybind11::array>& arrays,
                                 const std::vector<int64_t>& floats, int64_t images,
                                 const std::string& what, bool writeable);

  std::vector<int64_t> input_floats_, output_floats_;
};

}  // namespace facegen
