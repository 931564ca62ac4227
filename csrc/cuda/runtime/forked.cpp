#include "cuda/runtime/forked.h"

#include <unistd.h>

#include <atomic>

#include "cuda/runtime/error.h"

namespace facegen::cuda {
namespace {

std::atomic<pid_t> user{0};  // the process that has used CUDA; 0: none

}  // namespace

void note_use() { user = getpid(); }

bool is_forked() {
  const pid_t first = user;
  return first != 0 && first != getpid();
}

void require_not_forked() {
  if (is_forked()) {
    throw Error(cudaErrorInitializationError,
                "CUDA was used before this process was forked; use it in the child alone, or start "
                "the child anew (multiprocessing: \"spawn\" or \"forkserver\")");
  }
}

}  // namespace facegen::cuda
