#include "cuda/runtime/nccl.h"

#include <dlfcn.h>

#include <cstdlib>
#include <mutex>
#include <optional>
#include <stdexcept>

#include "cuda/runtime/error.h"

namespace facegen::cuda {
namespace {

constexpr int kOldestVersion = 21800;  // has ncclCommSplit

template <typename Function>
void find(void* library, const char* name, const std::string& path, Function& function) {
  void* const found = dlsym(library, name);
  if (found == nullptr) throw std::runtime_error(path + " has no " + name + ": NCCL 2.18 or newer is needed");
  function = reinterpret_cast<Function>(found);
}

Nccl load(const std::string& path) {
  // A step's graph has sums of several communicators on two streams. Without an order among them a GPU may begin
  // with one's kernel and its peer with another's, and both wait. NCCL reads the variable when it is first called;
  // what the user has set stays.
  setenv("NCCL_LAUNCH_ORDER_IMPLICIT", "1", /*overwrite=*/0);
  void* const library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    const char* const reason = dlerror();
    throw std::runtime_error(reason == nullptr ? path + " cannot be loaded" : reason);
  }
  Nccl n = {};
  find(library, "ncclGetVersion", path, n.get_version);
  find(library, "ncclGetUniqueId", path, n.get_unique_id);
  find(library, "ncclCommInitRank", path, n.comm_init_rank);
  find(library, "ncclCommSplit", path, n.comm_split);
  find(library, "ncclCommDestroy", path, n.comm_destroy);
  find(library, "ncclCommGetAsyncError", path, n.comm_get_async_error);
  find(library, "ncclAllReduce", path, n.all_reduce);
  find(library, "ncclAllGather", path, n.all_gather);
  find(library, "ncclBroadcast", path, n.broadcast);
  find(library, "ncclGetErrorString", path, n.get_error_string);
  find(library, "ncclGetLastError", path, n.get_last_error);
  int version = 0;
  n.check(n.get_version(&version), "ncclGetVersion");
  if (version < kOldestVersion) {
    throw std::runtime_error(path + " is version " + std::to_string(version) + " of NCCL, " +
                             std::to_string(kOldestVersion) + " or newer is needed");
  }
  return n;
}

}  // namespace

void Nccl::check(int code, const char* call, NcclComm* comm) const {
  constexpr int kInProgress = 7;
  if (code == 0 || code == kInProgress) return;
  std::string message = std::string(call) + ": " + get_error_string(code);
  const char* const more = get_last_error(comm);
  if (more != nullptr && *more != '\0') message += std::string(" (") + more + ")";
  for (char& c : message) {
    if (c == '\n') c = ' ';
  }
  throw Error(cudaErrorUnknown, message);
}

const Nccl& load_nccl(const std::string& path) {
  static std::mutex mutex;
  static std::optional<Nccl> loaded;
  const std::lock_guard lock(mutex);
  if (!loaded) loaded = load(path);
  return *loaded;
}

}  // namespace facegen::cuda
