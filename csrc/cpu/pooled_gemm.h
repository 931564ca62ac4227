// A convolution and the max pool that alone reads it, line by line: the few lines that a row of
// windows holds wait in L2, and the map between the two is never written to memory.
#pragma once

#include <cstdint>

#include "cpu/direct_gemm.h"
#include "cpu/gemm.h"
#include "cpu/kernels.h"
#include "program.h"

namespace facegen::cpu {

class PooledGemm {
 public:
  // For steps one after the other, the second the only reader of the first.
  static bool suits(const Step& gemm, const Step& pool, const Kernels& kernels);

  PooledGemm(const Step& gemm, const Step& pool, const Kernels& kernels);

  void run(int64_t images, Images in, Images out, int threads) const;

 private:
  void run_part(const float* in, float* out, int first, int last) const;

  const Kernels& kernels_;
  DirectGemm gemm_;
  View map_, out_;  // between the two, and the pool's
  Pool pool_;
};

}  // namespace facegen::cpu
