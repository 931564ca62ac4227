#include "read_target.h"

#include <stdexcept>

namespace facegen {
namespace {

cuda::Precision read_precision(const std::string& name) {
  if (name == "float32") return cuda::Precision::kFloat32;
  if (name == "strict") return cuda::Precision::kStrict;
  if (name == "tf32") return cuda::Precision::kTf32;
  if (name == "float16") return cuda::Precision::kFloat16;
  throw std::invalid_argument("unknown precision " + name);
}

}  // namespace

cuda::Target read_target(int major, int minor, const std::string& precision,
                         const std::string& kernels) {
  if (kernels != "auto" && kernels != "mma" && kernels != "fma") {
    throw std::invalid_argument("kernels must be auto, mma or fma, not " + kernels);
  }
  return {major, minor, read_precision(precision), kernels};
}

}  // namespace facegen
