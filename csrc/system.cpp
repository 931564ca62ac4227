#include "system.h"

#if defined(_WIN32)
#define NOMINMAX
#include <malloc.h>
#include <windows.h>
#else
#include <pthread.h>
#include <unistd.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif
#endif

#include <algorithm>
#include <cstdlib>

namespace facegen {

#if defined(_WIN32)

int machine_processors() {
  return std::max(1, static_cast<int>(GetActiveProcessorCount(ALL_PROCESSOR_GROUPS)));
}

void after_fork_in_child(void (*)()) {}

void* allocate_aligned_bytes(std::size_t bytes, std::size_t alignment, bool) {
  return _aligned_malloc(bytes, alignment);
}

void free_aligned_bytes(void* memory) { _aligned_free(memory); }

void wait_for_the_end() {
  for (;;) Sleep(INFINITE);
}

#else

int machine_processors() {
  return static_cast<int>(std::max(1l, sysconf(_SC_NPROCESSORS_CONF)));
}

void after_fork_in_child(void (*function)()) { pthread_atfork(nullptr, nullptr, function); }

void* allocate_aligned_bytes(std::size_t bytes, std::size_t alignment,
                             [[maybe_unused]] bool huge_pages) {
  void* memory = nullptr;
  if (posix_memalign(&memory, alignment, bytes) != 0) return nullptr;
#if defined(__linux__)
  if (huge_pages) madvise(memory, bytes, MADV_HUGEPAGE);
#endif
  return memory;
}

void free_aligned_bytes(void* memory) { std::free(memory); }

void wait_for_the_end() {
  for (;;) pause();
}

#endif

}  // namespace facegen
