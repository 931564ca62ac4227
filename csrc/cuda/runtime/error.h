// Every CUDA call is checked; a failure throws with the call, the error's name and the place.
#pragma once

#include <cuda_runtime_api.h>

#include <stdexcept>
#include <string>

namespace facegen::cuda {

class Error : public std::runtime_error {
 public:
  Error(cudaError_t error_code, const char* call, const char* file, int line)
      : std::runtime_error(std::string(call) + ": " + cudaGetErrorName(error_code) + " (" +
                           cudaGetErrorString(error_code) + ") at " + file + ":" +
                           std::to_string(line)),
        code(error_code) {}
  // Without a CUDA call behind it: a wrong device, a limit of our own.
  Error(cudaError_t error_code, const std::string& message)
      : std::runtime_error(message), code(error_code) {}

  const cudaError_t code;
};

inline void check(cudaError_t code, const char* call, const char* file, int line) {
  if (code == cudaSuccess) return;
  cudaGetLastError();  // a failed call must not be blamed on the next launch
  const Error error(code, call, file, line);
  // After a fault on the GPU every call of this process fails; after others, a call that does
  // nothing succeeds.
  if (cudaFree(nullptr) == cudaSuccess) throw error;
  throw Error(code, std::string(error.what()) +
                        "; this process cannot use the GPU any more: start it again, or use the CPU");
}

}  // namespace facegen::cuda

// The file without its folders: messages should not show where it was built.
#define FACEGEN_CUDA_CHECK(call) \
  ::facegen::cuda::check((call), #call, __builtin_strrchr("/" __FILE__, '/') + 1, __LINE__)
// After a kernel launch: configuration errors, and errors of earlier work if they have shown.
#define FACEGEN_CUDA_CHECK_LAUNCH(kernel) \
  ::facegen::cuda::check(cudaGetLastError(), kernel, \
                         __builtin_strrchr("/" __FILE__, '/') + 1, __LINE__)
