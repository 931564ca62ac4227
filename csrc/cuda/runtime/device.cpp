#include "cuda/runtime/device.h"

#include <cuda.h>

#include <atomic>
#include <memory>

#include "cuda/runtime/error.h"
#include "cuda/runtime/forked.h"

namespace facegen::cuda {
namespace {

DeviceInfo describe(int index) {
  cudaDeviceProp properties;
  FACEGEN_CUDA_CHECK(cudaGetDeviceProperties(&properties, index));
  return {index,
          properties.name,
          properties.major,
          properties.minor,
          properties.multiProcessorCount,
          static_cast<int64_t>(properties.totalGlobalMem)};
}

std::string too_old(const DeviceInfo& info) {
  return "cuda:" + std::to_string(info.index) + " (" + info.name + ") has compute capability " +
         std::to_string(info.major) + "." + std::to_string(info.minor) + "; facegen needs " +
         std::to_string(kOldestMajor) + ".0 or newer";
}

int count() {
  require_not_forked();
  int found = 0;
  const cudaError_t code = cudaGetDeviceCount(&found);
  if (code == cudaErrorInsufficientDriver) {
    int driver = 0, runtime = 0;
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    const auto version = [](int v) {
      return std::to_string(v / 1000) + "." + std::to_string(v % 1000 / 10);
    };
    cudaGetLastError();
    throw Error(code, driver == 0 ? "no NVIDIA driver was found"
                                  : "the NVIDIA driver supports CUDA " + version(driver) +
                                        ", this build needs " + version(runtime) +
                                        ": update the driver");
  }
  if (code == cudaErrorNoDevice) {
    cudaGetLastError();
    throw Error(code, "the NVIDIA driver shows no GPU (is CUDA_VISIBLE_DEVICES set?)");
  }
  FACEGEN_CUDA_CHECK(code);
  note_use();
  return found;
}

// Whether somebody in this process has a context on the device. The driver is asked itself, since
// the runtime would make one; it is found at run time, since nothing here links to it.
bool is_awake(int index) {
  using GetState = CUresult (*)(CUdevice, unsigned*, int*);
  void* function = nullptr;
  cudaDriverEntryPointQueryResult found = cudaDriverEntryPointSymbolNotFound;
#if CUDART_VERSION >= 12050
  cudaGetDriverEntryPointByVersion("cuDevicePrimaryCtxGetState", &function, 12000,
                                   cudaEnableDefault, &found);
#else
  cudaGetDriverEntryPoint("cuDevicePrimaryCtxGetState", &function, cudaEnableDefault, &found);
#endif
  if (found != cudaDriverEntryPointSuccess || function == nullptr) return true;
  unsigned flags = 0;
  int active = 1;
  reinterpret_cast<GetState>(function)(index, &flags, &active);
  return active != 0;
}

}  // namespace

std::vector<DeviceInfo> devices() {
  // A process sees the same GPUs for as long as it lives, and the driver takes milliseconds to
  // describe one. Without a lock, which a child would find taken if it were forked meanwhile.
  static std::atomic<const std::vector<DeviceInfo>*> known{nullptr};
  require_not_forked();
  if (const auto* found = known.load()) return *found;
  auto result = std::make_unique<std::vector<DeviceInfo>>();
  const int found = count();
  for (int i = 0; i < found; ++i) result->push_back(describe(i));
  const std::vector<DeviceInfo>* none = nullptr;
  if (!known.compare_exchange_strong(none, result.get())) return *none;  // another thread's
  return *result.release();
}

void open_context(std::optional<int> index) noexcept {
  try {
    for (const DeviceInfo& info : devices()) {
      if (info.major < kOldestMajor || info.index != index.value_or(info.index)) continue;
      FACEGEN_CUDA_CHECK(cudaSetDevice(info.index));
      FACEGEN_CUDA_CHECK(cudaFree(nullptr));  // makes the context, where setting the device has not
      return;
    }
  } catch (const std::exception&) {
  }
}

std::string why_unusable() {
  std::string reason = "the NVIDIA driver shows no GPU";
  try {
    for (const DeviceInfo& info : devices()) {
      if (info.major >= kOldestMajor) return "";
      reason = too_old(info);
    }
  } catch (const Error& error) {
    reason = error.what();
  }
  return reason;
}

DeviceInfo find_device(int index) {
  const std::vector<DeviceInfo> all = devices();
  const int found = static_cast<int>(all.size());
  if (index < 0 || index >= found) {
    throw Error(cudaErrorInvalidDevice, "there is no cuda:" + std::to_string(index) +
                                            "; this machine shows " + std::to_string(found) +
                                            (found == 1 ? " GPU: cuda:0" : " GPUs, from cuda:0"));
  }
  const DeviceInfo& info = all[static_cast<std::size_t>(index)];
  if (info.major < kOldestMajor) throw Error(cudaErrorInvalidDevice, too_old(info));
  return info;
}

DeviceScope::DeviceScope(int index) {
  FACEGEN_CUDA_CHECK(cudaGetDevice(&former_));
  FACEGEN_CUDA_CHECK(cudaSetDevice(index));
}

void restore_device(int former) noexcept {
  int current = former;
  cudaGetDevice(&current);
  if (current != former && is_awake(former)) cudaSetDevice(former);
}

}  // namespace facegen::cuda
