// Which of a call's steps a graph computes.
//
// A call's numbers are copied up at once, one entry a step; a cursor in memory says whose turn it is. The first
// kernel of a step reads its entry, the last one moves the cursor on, so that steps are launched one behind
// the other and the host waits for none.
//
// Where a number is not finite a word on the GPU stops the steps behind, of this call and of others, until the
// host has read which one it was and clears it. They change nothing, nor that step's batch and numbers, of which
// the host finds out where it began.
//
//   call:    Cursor | addresses of held arrays | entry | entry | ...
//   entry:   StepNumbers | OptimizerNumbers of each updated array | rows (images) int32
//   results: StepState | losses (losses, images) float64, of each step
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "cuda/training/call.h"

namespace facegen::cuda {

struct Cursor {
  int64_t step;  // of the call
};

struct CallLayout {
  int64_t entries_at, entry_bytes;  // of the call
  int64_t result_bytes;             // of a step
  int64_t most_steps;               // that there is memory for
};

constexpr int kMostArrays = 8;  // arrays of one launch

struct BeginArguments {
  const char* call;
  const int32_t* stopped;           // not 0: nothing is read, and the state alone is written
  int64_t entries_at, entry_bytes;
  int32_t words;                    // of an entry's numbers, of 4 bytes
  uint32_t* numbers;                // out: those of the step
  StepState* state;                 // out: zeros
  struct Array {
    float* to;       // (images, floats) of the batch
    int64_t floats;  // or labels
    int32_t number;  // of its address
    int64_t first, images;  // of the batch that are needed
  } arrays[kMostArrays];
  int32_t array_count;
};
void run_begin(const BeginArguments& arguments, cudaStream_t stream);

// Where a step's end leaves what the host reads.
struct StepEnd {
  Cursor* cursor;
  int32_t* stopped;
  char* results;
  int64_t result_bytes;  // of a step
};

}  // namespace facegen::cuda
