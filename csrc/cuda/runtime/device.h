// Which GPUs there are, and why one is not usable. Nothing here or elsewhere in the engine touches
// the driver before one of these functions is called.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace facegen::cuda {

struct DeviceInfo {
  int index;
  std::string name;
  int major, minor;  // compute capability
  int multiprocessors;
  int64_t memory_bytes;
};

// Oldest compute capability with machine code in this build.
constexpr int kOldestMajor = 8;

// Every visible GPU; asked for once. Throws Error where there is no driver or none that this build can
// talk to.
std::vector<DeviceInfo> devices();

// Empty where at least one GPU is usable, otherwise the reason in one line.
std::string why_unusable();

// Begins to use a GPU, the first usable one if none is named: the driver's and its context's tenths of
// a second pass here, for whoever uses it next. Does nothing where there is no such GPU, or it fails.
void open_context(std::optional<int> index) noexcept;

// Throws Error for a GPU that is absent or too old.
DeviceInfo find_device(int index);

// Makes `former` the calling thread's device again, unless nobody has used it: setting a device
// takes memory on it.
void restore_device(int former) noexcept;

// Sets the calling thread's device, and puts the former one back.
class DeviceScope {
 public:
  explicit DeviceScope(int index);
  ~DeviceScope() { restore_device(former_); }
  DeviceScope(const DeviceScope&) = delete;
  DeviceScope& operator=(const DeviceScope&) = delete;

 private:
  int former_ = 0;
};

}  // namespace facegen::cuda
