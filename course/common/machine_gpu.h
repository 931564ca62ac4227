// What a rung needs of the machine, for a CUDA GPU: memory, a clock, and the ceiling.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace course {

inline void check_cuda(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", what, cudaGetErrorString(error));
  std::exit(3);
}
#define COURSE_CUDA(call) ::course::check_cuda((call), #call)

// The GPU's memory.
class Buffer {
 public:
  explicit Buffer(int64_t count) : count_(static_cast<std::size_t>(count)) {
    COURSE_CUDA(cudaMalloc(&data_, count_ * 4));
    COURSE_CUDA(cudaMemset(data_, 0xff, count_ * 4));  // NaN: what is never written must show
  }
  ~Buffer() { cudaFree(data_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  void put(const std::vector<float>& from) {
    COURSE_CUDA(cudaMemcpy(data_, from.data(), count_ * 4, cudaMemcpyHostToDevice));
  }
  std::vector<float> get() const {
    std::vector<float> values(count_);
    COURSE_CUDA(cudaMemcpy(values.data(), data_, count_ * 4, cudaMemcpyDeviceToHost));
    return values;
  }
  float* data() { return data_; }

 private:
  std::size_t count_;
  float* data_ = nullptr;
};

inline int machine_threads() { return 1; }

// Seconds that the GPU takes for what f launches on the default stream.
template <class F>
double seconds_of(F f, int) {
  cudaEvent_t begin, end;
  COURSE_CUDA(cudaEventCreate(&begin));
  COURSE_CUDA(cudaEventCreate(&end));
  COURSE_CUDA(cudaEventRecord(begin));
  f();
  COURSE_CUDA(cudaEventRecord(end));
  COURSE_CUDA(cudaEventSynchronize(end));
  COURSE_CUDA(cudaGetLastError());
  float milliseconds = 0;
  COURSE_CUDA(cudaEventElapsedTime(&milliseconds, begin, end));
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  return milliseconds * 1e-3;
}

// Multiply-adds of every thread's own registers, none of which waits for another.
__global__ void fma_burst(float* out, float a, float b, int rounds) {
  float chain[8];
  for (int i = 0; i < 8; ++i) chain[i] = static_cast<float>(threadIdx.x + i);
  for (int round = 0; round < rounds; ++round) {
#pragma unroll
    for (int i = 0; i < 8; ++i) chain[i] = chain[i] * a + b;
  }
  float sum = 0;
  for (int i = 0; i < 8; ++i) sum += chain[i];
  if (sum == -1) out[0] = sum;  // never, but the compiler cannot know
}

// GFLOP/s of float32 multiply-adds on the CUDA cores, the least time of several.
inline double peak_gflops(int) {
  int processors = 0;
  COURSE_CUDA(cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, 0));
  constexpr int kThreads = 1024, kRounds = 4096;
  const int blocks = 2 * processors;
  Buffer out(1);
  double least = 1e30;
  for (int trial = 0; trial < 10; ++trial) {
    least = std::min(least, seconds_of([&] {
      fma_burst<<<blocks, kThreads>>>(out.data(), 0.999f, 1e-3f, kRounds);
    }, 1));
  }
  return 2.0 * 8 * kRounds * kThreads * blocks / least * 1e-9;
}

inline std::string machine_name() {
  cudaDeviceProp properties;
  if (cudaGetDeviceProperties(&properties, 0) != cudaSuccess) return "no GPU";
  return properties.name;
}

}  // namespace course
