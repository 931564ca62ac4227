// What a rung of the GPU staircase is besides its kernel: operands in the format that it multiplies,
// the check, the time, and the line of JSON for each problem. Options and JSON are those of rung.h.
//
// A rung is a function `Launch prepare(const Plan&, const Buffers&)`, which returns what launches the
// kernel on these buffers, and
//
//   int main(int argc, char** argv) {
//     return course::climb(argc, argv, {"01_naive", course::Format::kFloat32, prepare});
//   }
#pragma once

#include <cuda_runtime.h>

#include <cstring>
#include <functional>
#include <memory>

#include "../../csrc/cuda/fit/split.h"
#include "gpu_plan.cuh"
#include "rung.h"

namespace course {

// What a rung multiplies.
//   float32   on the CUDA cores
//   bfloat16  on the tensor cores, sums in float32. Each factor is off by up to 2^-9 of it
//   split     float32 as two bfloat16, x = hi + lo, three products a product. Off by lo * lo and by
//             the rounding of both lo, up to 2^-18 each; and wgmma cuts its sums off instead of
//             rounding them, which check.h's units of a float32 sum do not count
enum class Format { kFloat32, kBfloat16, kSplit };

inline Arithmetic arithmetic_of(Format format) {
  Arithmetic arithmetic;
  if (format == Format::kBfloat16) arithmetic.product = 0x1p-8;
  if (format == Format::kSplit) arithmetic.product = 0x1p-16;
  return arithmetic;
}

// The ceiling: one H200 by its data sheet, dense, in GFLOP/s.
inline double ceiling_gflops(Format format) {
  if (format == Format::kFloat32) return 67e3;
  return format == Format::kBfloat16 ? 989e3 : 989e3 / 3;
}

// A set of arrays on the device. Rungs of bfloat16 have in16 (n, y, x, c) and weights16 (tap, column,
// c); split ones the same twice, hi and then lo. (The layer before would have written them so: that
// is not timed.)
struct Buffers {
  const float* in = nullptr;
  const float* weights = nullptr;
  const uint16_t* in16 = nullptr;
  const uint16_t* weights16 = nullptr;
  float* out = nullptr;
};

using Launch = std::function<void()>;

struct GpuRung {
  const char* name;
  Format format;
  std::function<Launch(const Plan&, const Buffers&)> prepare;
  // Which output channel a column of weights16 is: for rungs that permute them.
  int (*channel_of)(int column) = [](int column) { return column; };
};

// Raises the limit of 48 KiB of shared memory, which takes a call for each kernel.
template <class Kernel>
void allow_shared_memory(Kernel kernel, int bytes) {
  COURSE_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
}

inline int multiprocessors() {
  int count = 0;
  COURSE_CUDA(cudaDeviceGetAttribute(&count, cudaDevAttrMultiProcessorCount, 0));
  return count;
}

// hi, and with two planes what hi leaves of the value.
inline std::vector<uint16_t> in_bfloat16(const std::vector<float>& values, int planes) {
  std::vector<uint16_t> packed(values.size() * planes);
  for (std::size_t i = 0; i < values.size(); ++i) {
    float left = values[i];
    for (int plane = 0; plane < planes; ++plane) {
      uint16_t& bits = packed[plane * values.size() + i];
      bits = facegen::cuda::bfloat16_bits(left);
      left -= facegen::cuda::bfloat16_value(bits);
    }
  }
  return packed;
}

// (tap, c, k) as (tap, column, c).
inline std::vector<float> by_column(const Problem& p, const std::vector<float>& weights,
                                    int (*channel_of)(int)) {
  std::vector<float> turned(weights.size());
  std::size_t at = 0;
  for (int tap = 0; tap < p.taps(); ++tap) {
    for (int column = 0; column < p.out_c; ++column) {
      const float* from = &weights[std::size_t(tap) * p.in_c * p.out_c + channel_of(column)];
      for (int i = 0; i < p.in_c; ++i) turned[at++] = from[std::size_t(i) * p.out_c];
    }
  }
  return turned;
}

// Memory of the device, filled from the host's.
class Upload {
 public:
  template <class T>
  explicit Upload(const std::vector<T>& values) {
    if (values.empty()) return;
    COURSE_CUDA(cudaMalloc(&data_, values.size() * sizeof(T)));
    COURSE_CUDA(cudaMemcpy(data_, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
  }
  Upload(Upload&& other) noexcept : data_(other.data_) { other.data_ = nullptr; }
  ~Upload() { cudaFree(data_); }
  template <class T>
  const T* get() const {
    return static_cast<const T*>(data_);
  }

 private:
  void* data_ = nullptr;
};

// Milliseconds of a launch: the median of several groups, each long enough for the events' resolution
// and for launches to be queued ahead. The sets take turns: together they are larger than the L2
// cache, so none is found there from its last time.
inline double median_ms(const std::vector<Launch>& launches, double seconds) {
  std::size_t next = 0;
  const auto group_ms = [&](int size) {
    return 1e3 / size * seconds_of([&] {
      for (int i = 0; i < size; ++i) launches[next++ % launches.size()]();
    }, 1);
  };
  group_ms(3);  // warms up
  const double about = group_ms(3);
  const int size = static_cast<int>(std::clamp(10.0 / about, 3.0, 300.0));
  const int groups = static_cast<int>(std::clamp(1e3 * seconds / (size * about), 3.0, 15.0));
  std::vector<double> times;
  for (int i = 0; i < groups; ++i) times.push_back(group_ms(size));
  std::nth_element(times.begin(), times.begin() + groups / 2, times.end());
  return times[groups / 2];
}

inline bool solve(const GpuRung& rung, const Problem& problem, double seconds) {
  const std::vector<float> input = make_input(problem, Layout::kNhwc);
  const std::vector<float> weights = make_weights(problem, Layout::kNhwc);
  const bool is_float32 = rung.format == Format::kFloat32;
  const int planes = rung.format == Format::kSplit ? 2 : 1;
  std::vector<uint16_t> input16, weights16;
  if (!is_float32) {
    input16 = in_bfloat16(input, planes);
    weights16 = in_bfloat16(by_column(problem, weights, rung.channel_of), planes);
  }
  const Plan plan = make_plan(problem);
  constexpr int kSets = 3;
  std::vector<Upload> uploads;
  std::vector<std::unique_ptr<Buffer>> outs;
  std::vector<Launch> launches;
  for (int set = 0; set < kSets; ++set) {
    Buffers b;
    if (is_float32) {
      b.in = uploads.emplace_back(input).get<float>();
      b.weights = uploads.emplace_back(weights).get<float>();
    } else {
      b.in16 = uploads.emplace_back(input16).get<uint16_t>();
      b.weights16 = uploads.emplace_back(weights16).get<uint16_t>();
    }
    outs.push_back(std::make_unique<Buffer>(problem.outputs()));
    b.out = outs.back()->data();
    launches.push_back(rung.prepare(plan, b));
  }
  for (const Launch& launch : launches) launch();
  COURSE_CUDA(cudaGetLastError());
  COURSE_CUDA(cudaDeviceSynchronize());
  const std::vector<float> output = outs.back()->get();
  const Verdict verdict = check(problem, Layout::kNhwc, input.data(), weights.data(), output.data(),
                                arithmetic_of(rung.format));
  Line line;
  line.add("{\"rung\": \"%s\", \"problem\": \"%s\", \"images\": %d, \"machine\": \"%s\", "
           "\"error\": %.3g, \"relative_error\": %.3g",
           rung.name, problem.name, problem.images, machine_name().c_str(),
           std::min(verdict.worst, 1e30), std::min(verdict.relative, 1e30));
  // Each launch writes every output, from the same numbers in the same order: the same bits.
  bool right = verdict.right;
  for (std::size_t set = 0; right && set + 1 < outs.size(); ++set) {
    const std::vector<float> other = outs[set]->get();
    right = std::memcmp(other.data(), output.data(), 4 * output.size()) == 0;
  }
  if (right) {
    const double ms = median_ms(launches, seconds);
    const double gflops = 2e-6 * static_cast<double>(problem.products()) / ms;
    const double ceiling = ceiling_gflops(rung.format);
    line.add(", \"ms\": %.5g, \"gflops\": %.6g, \"peak_gflops\": %.6g, \"percent_of_peak\": %.3g",
             ms, gflops, ceiling, 100 * gflops / ceiling);
  } else {
    line.add(", \"wrong\": \"%s\"", verdict.right ? "another result from the same numbers"
                                                  : verdict.where.c_str());
  }
  line.add(", \"verified\": %s}", right ? "true" : "false");
  line.print();
  return right;
}

// For tests: a tile of 256 pixels a phase, and sums that still fill a ring of slots several times. The
// rungs' tiles ask for maps of powers of two, 4 images, 64 channels in and 128 out.
constexpr Problem kTinyGpuProblems[] = {
    {"conv3x3", false, 4, 8, 8, 128, 8, 8, 128, 3, 1, 1},
    {"tconv2", true, 4, 8, 8, 128, 16, 16, 128, 5, 2, 1},
};

// 0: right; 1: wrong; 2: usage; 3: CUDA failed.
inline int climb(int argc, char** argv, const GpuRung& rung) {
  const Options options = parse(argc, argv);
  bool known = false, right = true;
  for (const Problem& listed : options.tiny ? kTinyGpuProblems : kProblems) {
    if (options.problem != nullptr && std::string(options.problem) != listed.name) continue;
    known = true;
    Problem p = listed;
    // 32,768 and 16,384 pixels a phase: tiles enough for every multiprocessor.
    if (!options.tiny) p.images = p.transposed ? 256 : 32;
    if (options.images > 0) p.images = options.images;
    if (p.images % 4 != 0 || p.images > 1024) {  // of a 32 MiB output; tiles have up to 4 images
      std::fprintf(stderr, "--images: expected 4, 8, ... 1024, found %d\n", p.images);
      return 2;
    }
    right &= solve(rung, p, options.seconds);
  }
  if (!known) usage(argv[0]);
  return right ? 0 : 1;
}

}  // namespace course
