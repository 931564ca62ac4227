// What differs from system to system, in one room; system.cpp has each system's own part.
#pragma once

#include <cstddef>

namespace facegen {

// Processors that the machine has.
int machine_processors();

// Has a function called in each child that is forked. Windows has no fork.
void after_fork_in_child(void (*function)());

// Memory whose address is a multiple of `alignment`, a power of two; `bytes` a multiple of it. Null
// where there is none. Linux is asked for huge pages where `huge_pages`.
void* allocate_aligned_bytes(std::size_t bytes, std::size_t alignment, bool huge_pages);
void free_aligned_bytes(void* memory);

// Has this thread wait until the process ends.
[[noreturn]] void wait_for_the_end();

}  // namespace facegen
