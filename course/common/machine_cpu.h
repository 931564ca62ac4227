// What a rung needs of the machine, for the CPU: memory, a clock, and the ceiling.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <limits>
#include <string>
#include <thread>
#include <vector>

#include "vec.h"

namespace course {

// Memory that the rung sees. On the GPU it is the device's; here it is a copy.
class Buffer {
 public:
  explicit Buffer(int64_t count)  // NaN: what is never written must show
      : values_(static_cast<std::size_t>(count), std::numeric_limits<float>::quiet_NaN()) {}
  void put(const std::vector<float>& from) { values_ = from; }
  std::vector<float> get() const { return values_; }
  float* data() { return values_.data(); }

 private:
  std::vector<float> values_;
};

inline int machine_threads() { return std::max(1u, std::thread::hardware_concurrency()); }

// Seconds that f takes. With one thread its processor time: others may use this machine as well.
// With several only the clock on the wall tells.
template <class F>
double seconds_of(F f, int threads) {
  const auto wall = std::chrono::steady_clock::now();
  const std::clock_t used = std::clock();
  f();
  if (threads == 1) return static_cast<double>(std::clock() - used) / CLOCKS_PER_SEC;
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - wall).count();
}

// Multiply-adds on as many registers as there are, none of which waits for another: GFLOP/s of one
// core, the least time of several.
inline double core_peak_gflops() {
  constexpr int kChains = kRegisters == 32 ? 16 : 12, kRounds = 200000;
  double least = 1e30;
  float kept = 0;
  for (int trial = 0; trial < 20; ++trial) {
    least = std::min(least, seconds_of([&] {
      Vec chain[kChains];
      for (int i = 0; i < kChains; ++i) chain[i] = broadcast(static_cast<float>(i));
      volatile float factor = 0.999f, term = 1e-3f;  // the compiler knows neither
      const Vec a = broadcast(factor), b = broadcast(term);
      for (int round = 0; round < kRounds; ++round) {
        COURSE_UNROLL
        for (int i = 0; i < kChains; ++i) chain[i] = chain[i] * a + b;
      }
      for (int i = 0; i < kChains; ++i) kept += chain[i][0];
    }, 1));
  }
  volatile float sink = kept;  // the sums are of use
  (void)sink;
  return 2.0 * kLanes * kChains * kRounds / least * 1e-9;
}

inline double peak_gflops(int threads) { return core_peak_gflops() * threads; }

inline std::string machine_name() {
  std::string name = "unknown processor";
  if (std::FILE* file = std::fopen("/proc/cpuinfo", "r")) {
    char line[512];
    while (std::fgets(line, sizeof line, file)) {
      const char* colon = std::strchr(line, ':');
      if (std::strncmp(line, "model name", 10) != 0 || colon == nullptr) continue;
      name = colon + 2;
      while (!name.empty() && name.back() <= ' ') name.pop_back();
      break;
    }
    std::fclose(file);
  }
  return name;
}

}  // namespace course
