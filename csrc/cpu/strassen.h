// Strassen's algorithm: a product of matrices with 7 multiplications of halves instead of 8.
//
// With A, B and C cut into 2 x 2 blocks (Strassen 1969):
//
//   M1 = (A11 + A22)(B11 + B22)    C11 = M1 + M4 - M5 + M7
//   M2 = (A21 + A22) B11           C12 = M3 + M5
//   M3 = A11 (B12 - B22)           C21 = M2 + M4
//   M4 = A22 (B21 - B11)           C22 = M1 - M2 + M3 + M6
//   M5 = (A11 + A12) B22
//   M6 = (A21 - A11)(B11 + B12)
//   M7 = (A12 - A22)(B21 + B22)
//
// Each M may be computed so again: L levels take (7/8)^L of the multiplications, 7^L products of
// blocks of 1 / 2^L of the side. Here a level is a table: which blocks are added up, with which signs,
// for a product's two factors, and which blocks of C take it. Two levels are the table's product with
// itself, so that any number of levels runs through one loop (matrix_product.cpp).
//
// The 18 additions of blocks above can be 15 (Winograd's variant, which shares partial sums). That
// counts where sums are matrices of their own in memory. Here they are made while A and B are copied
// to the panels that the register tile reads, and C's while they are in L2 (as Huang et al. 2016): no
// matrix is stored, and what costs is how many blocks each product reads and writes: 12 of A, 12 of B
// and 12 of C here, 14 each in Winograd's variant, whose factors have up to 4 terms.
//
// Errors grow: a product of sums of blocks is subtracted again. Each level may add a factor of 3 to
// the bound, which is relative to the largest rows and columns, not to an element (Higham 2002, 23.2).
#pragma once

#include <cstdint>
#include <vector>

namespace facegen::cpu {

// Block `at` = row * side + column of a matrix cut into side x side, times +1 or -1.
struct StrassenTerm {
  int at;
  float sign;
};

struct StrassenProduct {
  std::vector<StrassenTerm> a, b, c;
};

// 7^levels products of blocks of matrices that are cut into 2^levels on each side; of 0 levels the one
// product that there is.
std::vector<StrassenProduct> strassen_products(int levels);

// Levels by which a product of (rows, depth) and (depth, columns) may gain: 0 for small ones.
int strassen_levels(int64_t rows, int64_t depth, int64_t columns);

}  // namespace facegen::cpu
