// A convolution and the max pool that alone reads it, line by line: the few lines that a row of
// windows holds wait in L2, and the map between the two is never written to memory.
#pragma once

#include <cstdint>

#include "cpu/direct_gemm.h"
#include "cpu/gemm.h"
#include "cpu/kernels.h"
#include "program.h"

namespace facegen::cpu {

class PooledGemm final : public Gemm {
 public:
  // Convolutions that DirectGemm would do, with a pool as their finish.
  static bool suits(const Step& step, const Kernels& kernels);

  // `step` need not outlive the constructor except its bias.
  PooledGemm(const Step& step, const Kernels& kernels);

  void run(int64_t images, Images in, Images out, Images add, int threads) const override;
  void pack(const Weights& weights, int threads) override { gemm_.pack(weights, threads); }
  Costs costs() const override;

 private:
  void run_part(const float* in, float* out, int first, int last) const;

  const Kernels& kernels_;
  DirectGemm gemm_;
  View map_, out_;  // between the two, and the pool's
  Window pool_;
};

}  // namespace facegen::cpu
