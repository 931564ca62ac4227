#include "cpu/matmul.h"

#include <algorithm>

#include "cpu/matrix_product.h"
#include "threads.h"

namespace facegen::cpu {

void naive_matmul(const Matmul& p, int threads) {
  parallel_for(p.rows, threads, [&](int64_t i, int) {
    for (int64_t j = 0; j < p.columns; ++j) {
      float sum = 0.0f;
      for (int64_t k = 0; k < p.depth; ++k) sum += p.a[i * p.depth + k] * p.b[k * p.columns + j];
      p.c[i * p.columns + j] = sum;
    }
  });
}

void blocked_matmul(const Matmul& p, int levels, const Kernels& kernels, int threads) {
  MatrixProduct product(p.depth, p.columns, levels, kernels);
  product.pack(p.b, p.columns, 1, threads);
  product.run(p.rows, p.a, p.depth, threads,
              [&](int64_t row, int first, int columns, const float* sums) {
                std::copy_n(sums, columns, p.c + row * p.columns + first);
              });
}

}  // namespace facegen::cpu
