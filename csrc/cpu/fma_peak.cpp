#include "cpu/fma_peak.h"

#include <atomic>
#include <chrono>
#include <limits>
#include <system_error>
#include <thread>
#include <vector>

#include "cpu/dispatch.h"

namespace facegen::cpu {

double measure_fma_peak(int threads, double seconds) {
  using Clock = std::chrono::steady_clock;
  const Kernels& kernels = *available_kernels().front();
  std::atomic<int> ready{0}, started{std::numeric_limits<int>::max()};
  std::vector<double> rates(static_cast<std::size_t>(threads));
  const auto measure = [&](std::size_t thread) {
    ready.fetch_add(1);
    while (ready.load() < started.load()) std::this_thread::yield();
    const auto start = Clock::now();
    double flops = 0.0, elapsed = 0.0;
    do {
      flops += kernels.fma_burst();
      elapsed = std::chrono::duration<double>(Clock::now() - start).count();
    } while (elapsed < seconds);
    rates[thread] = flops / elapsed * 1e-9;
  };
  std::vector<std::thread> pool;
  try {
    for (std::size_t i = 1; i < rates.size(); ++i) pool.emplace_back(measure, i);
  } catch (const std::system_error&) {
    // No more threads for this process: those there are count.
  }
  started = static_cast<int>(pool.size()) + 1;
  measure(0);
  for (std::thread& thread : pool) thread.join();
  double total = 0.0;
  for (const double rate : rates) total += rate;
  return total;
}

}  // namespace facegen::cpu
