// Code of a GPU's threads that any compiler takes: nvcc for kernels, others for tests without a GPU.
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/fit/divide.h"

#ifdef __CUDACC__
#define FACEGEN_DEVICE __device__
#define FACEGEN_DEVICE_UNROLL _Pragma("unroll")
#else
#define FACEGEN_DEVICE
#define FACEGEN_DEVICE_UNROLL
#endif
