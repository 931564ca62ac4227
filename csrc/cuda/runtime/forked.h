// A child of fork() inherits nothing of CUDA that works, and locks that other threads have held.
#pragma once

namespace facegen::cuda {

// This process uses CUDA from now on.
void note_use();

// Whether CUDA was used before this process was forked. Such a process calls no CUDA function, takes
// none of the engine's locks and frees nothing of it.
bool is_forked();

// Throws Error where it is so.
void require_not_forked();

}  // namespace facegen::cuda
