// Functions for both sides: of host code in any compiler, and of kernels where nvcc compiles them.
#pragma once

#ifdef __CUDACC__
#define FACEGEN_HOST_DEVICE __host__ __device__
#else
#define FACEGEN_HOST_DEVICE
#endif
