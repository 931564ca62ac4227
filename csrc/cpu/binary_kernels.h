// What one instruction set offers for binary layers: sums of products of +1 and -1.
//
// A sign is a bit (1: negative), and a product of two is negative where their bits differ. So a sum of
// `signs` products is  signs - 2 * differing,  with the number of bits in which a row of A and a column
// of B differ: popcount(a ^ b). It is a whole number, and the same on all processors.
#pragma once

#include <cstdint>

namespace facegen::cpu {

// sums (rows, panels * panel_columns) = signs - 2 * differing, of rows of A and columns of B.
struct BinaryProduct {
  const uint8_t* codes;  // (rows, row_bytes): rows of A, as encode makes them pixel by pixel
  int64_t row_bytes;
  int rows;                // 1 .. most_rows
  const uint8_t* weights;  // (panels, panel_bytes), as pack makes them
  int panels;
  const int32_t* signs;  // (rows): how many products each sum has
  uint8_t* scratch;      // (scratch_bytes)
  float* sums;           // out; exact, for there are fewer than 2^24 products
};

struct BinaryKernels {
  const char* name;
  int panel_columns;
  int most_rows;
  int64_t (*pixel_bytes)(int channels);
  int64_t (*panel_bytes)(int64_t row_bytes);  // a multiple of 64
  int64_t (*scratch_bytes)(int64_t row_bytes);
  // The signs of a pixel; those beyond its channels are as if positive, in A as in B.
  void (*encode)(const float* in, int channels, uint8_t* codes);
  // A panel of up to panel_columns columns, each given as a row of codes; missing ones are positive.
  void (*pack)(const uint8_t* codes, int64_t row_bytes, int columns, uint8_t* panel);
  void (*multiply)(const BinaryProduct& product);
};

// Those with AVX-512 VPOPCNTDQ, which Kernels::binary leaves out: not all processors of AVX-512 have it.
const BinaryKernels* binary_popcount_kernels();

}  // namespace facegen::cpu
