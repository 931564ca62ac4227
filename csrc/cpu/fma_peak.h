// The machine's ceiling for the benchmark: fused multiply-adds in registers and nothing else.
#pragma once

namespace facegen::cpu {

// GFLOP/s of `threads` threads at once, on the best instruction set that runs here.
double measure_fma_peak(int threads, double seconds);

}  // namespace facegen::cpu
