// FACEGEN_WIDER before a function: it is compiled for wider vectors too, and the widest that the
// processor has are taken when the library is loaded. The bits are the same: nothing is contracted to
// multiply-adds (CMakeLists.txt).
#pragma once

#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__)
#define FACEGEN_WIDER __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define FACEGEN_WIDER
#endif
