// Kernels without a GPU: each thread of a block is a fiber of one CPU thread, and runs until it meets
// __syncthreads(). It shows whether a kernel is right; how fast it is only a GPU can say.
//
// Included by files of CUDA. nvcc sees LAUNCH alone:
//
//   LAUNCH(kernel, grid, block, arguments...);       kernel<<<grid, block>>>(arguments...)
//
// The fibers of a block go on in turns, always from barrier to barrier: a kernel that forgets one
// finds shared memory as it was before. A barrier that only some threads of a block meet ends the
// program.
#pragma once

#if defined(__CUDACC__)
#define LAUNCH(kernel, grid, block, ...) kernel<<<grid, block>>>(__VA_ARGS__)
#else

#include <ucontext.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <vector>

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
struct alignas(16) float4 {
  float x, y, z, w;
};
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }

inline dim3 threadIdx, blockIdx, blockDim, gridDim;

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(...)
#define LAUNCH(kernel, grid, block, ...) \
  ::course::launch(grid, block, [&] { kernel(__VA_ARGS__); })

namespace course {

class Block {
 public:
  Block(dim3 size, const std::function<void()>& body) : size_(size), body_(body) {
    for (unsigned i = 0; i < size.x * size.y * size.z; ++i) {
      fibers_.push_back(std::make_unique<Fiber>());
      Fiber& fiber = *fibers_.back();
      fiber.index = dim3(i % size.x, i / size.x % size.y, i / size.x / size.y);
      getcontext(&fiber.context);
      fiber.context.uc_stack.ss_sp = fiber.stack.data();
      fiber.context.uc_stack.ss_size = fiber.stack.size();
      fiber.context.uc_link = &scheduler_;
      makecontext(&fiber.context, &Block::enter, 0);
    }
  }

  void run() {
    now_ = this;
    for (std::size_t ended = 0; ended < fibers_.size();) {
      std::size_t waiting = 0;
      for (auto& fiber : fibers_) {
        if (fiber->ended) continue;
        current_ = fiber.get();
        threadIdx = fiber->index;
        swapcontext(&scheduler_, &fiber->context);
        fiber->ended ? ++ended : ++waiting;
      }
      if (waiting != 0 && ended != 0) {
        std::fprintf(stderr, "__syncthreads() was met by %zu of a block's %zu threads\n", waiting,
                     fibers_.size());
        std::exit(3);
      }
    }
  }

  void wait() {
    Fiber* self = current_;
    swapcontext(&self->context, &scheduler_);
  }

  static Block* now() { return now_; }

 private:
  struct Fiber {
    dim3 index;
    bool ended = false;
    ucontext_t context;
    std::vector<char> stack = std::vector<char>(64 << 10);
  };

  static void enter() {
    now_->body_();
    now_->current_->ended = true;
  }

  dim3 size_;
  std::function<void()> body_;
  std::vector<std::unique_ptr<Fiber>> fibers_;
  Fiber* current_ = nullptr;
  ucontext_t scheduler_;
  inline static Block* now_ = nullptr;
};

inline void launch(dim3 grid, dim3 block, const std::function<void()>& body) {
  gridDim = grid, blockDim = block;
  for (unsigned z = 0; z < grid.z; ++z)
    for (unsigned y = 0; y < grid.y; ++y)
      for (unsigned x = 0; x < grid.x; ++x) {
        blockIdx = dim3(x, y, z);
        Block(block, body).run();
      }
}

}  // namespace course

inline void __syncthreads() { course::Block::now()->wait(); }

#endif
