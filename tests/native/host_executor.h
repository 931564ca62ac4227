// What csrc/cuda/algorithms/gpu_executor.cuh does on a GPU, by loops: threads one after another, in order or
// in reverse, so that what depends on their order shows as other bits.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

namespace facegen::test {

struct HostExecutor {
  bool reversed = false;

  template <class Do>
  void in_order(int64_t count, const Do& run) const {
    for (int64_t i = 0; i < count; ++i) run(reversed ? count - 1 - i : i);
  }

  template <class Body>
  void each(int64_t count, const Body& body) const {
    in_order(count, [&](int64_t i) { body(i); });
  }

  // Shared memory and registers start as NaN, as if a block before had left them.
  template <class Body>
  struct Block {
    explicit Block(const HostExecutor& of) : executor(of), registers(Body::kThreads) {
      std::memset(&shared, 0xff, sizeof shared);
      std::memset(static_cast<void*>(registers.data()), 0xff, registers.size() * sizeof registers[0]);
    }
    template <class Turn>
    void each(const Turn& turn) {
      executor.in_order(Body::kThreads, [&](int64_t thread) {
        turn(shared, registers[static_cast<std::size_t>(thread)], static_cast<int>(thread));
      });
    }
    const HostExecutor& executor;
    typename Body::Shared shared;
    std::vector<typename Body::Registers> registers;
  };

  template <class Body>
  void blocks(int64_t count, int64_t batch, const Body& body) const {
    in_order(batch, [&](int64_t b) {
      in_order(count, [&](int64_t i) {
        Block<Body> block(*this);
        body(block, i, b);
      });
    });
  }
};

}  // namespace facegen::test
