// How a problem is cut for a GPU, and the index arithmetic that the rungs share.
//
// Each problem is a list of phases (phases.h), and a phase is a matrix product (implicit GEMM):
//
//   out (row; column) += in (row moved by the tap; channel) * weight (tap, channel; column)
//
//   row      pixel (n, y, x) of a phase: as many as the input has, h and w are powers of two
//   column   output channel, k of them
//   sum      over taps * c: 2,304 of conv3x3; 2,304, 1,536, 1,536 and 1,024 of tconv2's phases
//
// Arrays: in (n, y, x, c), weights (tap, c, k), out (n, y, x, k).
#pragma once

#include <algorithm>

#include "phases.h"

namespace course {

constexpr int kMaxTaps = 25;

// As the Phase of phases.h, its taps being some of Plan::taps, row by row.
struct GpuPhase {
  int py, px;
  int first_tap, tap_rows, tap_cols;
  COURSE_BOTH int tap_count() const { return tap_rows * tap_cols; }
};

// Kernels take it by value: it lies in the constant bank.
struct Plan {
  int n, h, w, c, k;   // images, height and width of the input, channels in and out
  int log2_h, log2_w;
  int stride, phases;  // of the output: 1 and 1, or 2 and 4
  GpuPhase phase[4];   // the longest sum first: what ends last should start first
  Tap taps[kMaxTaps];

  COURSE_BOTH int rows() const { return n * h * w; }
};

// Where the channels of the input pixel start that this row meets by this tap; -1: in the padding.
COURSE_BOTH inline int input_of(const Plan& p, int row, const Tap& tap) {
  const int x = (row & (p.w - 1)) + tap.dx;
  const int y = (row >> p.log2_w & (p.h - 1)) + tap.dy;
  const int n = row >> (p.log2_w + p.log2_h);
  const bool inside = x >= 0 && x < p.w && y >= 0 && y < p.h;
  return inside ? ((n * p.h + y) * p.w + x) * p.c : -1;
}

// Where the channels of the output pixel start.
COURSE_BOTH inline int output_of(const Plan& p, const GpuPhase& phase, int n, int y, int x) {
  const int out_y = y * p.stride + phase.py, out_x = x * p.stride + phase.px;
  return ((n * p.h * p.stride + out_y) * p.w * p.stride + out_x) * p.k;
}

COURSE_BOTH inline int output_of(const Plan& p, const GpuPhase& phase, int row) {
  return output_of(p, phase, row >> (p.log2_w + p.log2_h), row >> p.log2_w & (p.h - 1),
                   row & (p.w - 1));
}

inline int log2_of(int power) {
  int log2 = 0;
  while (1 << log2 < power) ++log2;
  return log2;
}

inline Plan make_plan(const Problem& problem) {
  Plan p{problem.images, problem.in_h, problem.in_w, problem.in_c, problem.out_c,
         log2_of(problem.in_h), log2_of(problem.in_w), 1, 1, {}, {}};
  if (problem.transposed) p.stride = problem.stride;
  std::vector<Phase> phases = phases_of(problem);
  std::stable_sort(phases.begin(), phases.end(), [](const Phase& one, const Phase& other) {
    return one.taps.size() > other.taps.size();
  });
  p.phases = static_cast<int>(phases.size());
  int taps = 0;
  for (int i = 0; i < p.phases; ++i) {
    GpuPhase& to = p.phase[i];
    to = {phases[i].py, phases[i].px, taps, 0, 0};
    for (const Tap& tap : phases[i].taps) {
      if (to.tap_rows == 0 || tap.dy != p.taps[taps - 1].dy) ++to.tap_rows;
      p.taps[taps++] = tap;
    }
    to.tap_cols = (taps - to.first_tap) / to.tap_rows;
  }
  return p;
}

}  // namespace course
