// The kernels of binary_words.h with AVX-512 VPOPCNTDQ, which not every processor with AVX-512 has: so they
// are an object of their own, beside the table of kernels.cpp.
#include "isa/binary_words.h"

namespace facegen::cpu {

const BinaryKernels* binary_popcount_kernels() { return &kBinary; }

}  // namespace facegen::cpu
