// c (rows, columns) = a (rows, depth) * b (depth, columns), all in C order: facegen.kernels.matmul.
#pragma once

#include <cstdint>

#include "cpu/kernels.h"

namespace facegen::cpu {

struct Matmul {
  int64_t rows, depth, columns;
  const float *a, *b;
  float* c;
};

// The definition: three loops, one chain of additions an element.
void naive_matmul(const Matmul& product, int threads);

// Blocked (matrix_product.h), with so many levels of Strassen's algorithm; kernels of float32 products.
void blocked_matmul(const Matmul& product, int levels, const Kernels& kernels, int threads);

}  // namespace facegen::cpu
