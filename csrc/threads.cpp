#include "threads.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "system.h"

namespace facegen {
namespace {

// Long enough to bridge the serial code between two steps of a network and between two calls from
// Python (waking a thread takes about 50 microseconds), short enough that an idle process costs
// nothing that anyone would notice.
constexpr auto kSpin = std::chrono::microseconds(200);

inline void pause_cpu() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits for ready() without a lock for kSpin; says whether it came.
template <typename Ready>
bool spin_until(Ready ready) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 64; ++i) {
      if (ready()) return true;
      pause_cpu();
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

// Tasks of a loop that follow one another. A worker does its own share first, then helps with the
// others': from step to step it finds in its cache the part of the maps that it has written.
struct alignas(64) Share {
  std::atomic<int64_t> next{0};
  int64_t end = 0;
};

struct Loop {
  TaskFunction function;
  void* context;
  int threads;
  std::vector<Share>& shares;  // (threads)
  std::exception_ptr error;    // guarded by Pool::mutex_
};

class Pool {
 public:
  // False when another thread's loop has the pool.
  bool try_run(int64_t tasks, int threads, TaskFunction function, void* context) {
    std::unique_lock<std::mutex> owner(owner_, std::try_to_lock);
    if (!owner.owns_lock()) return false;
    std::vector<Share> shares(static_cast<std::size_t>(threads));
    for (int64_t i = 0; i < threads; ++i) {
      Share& share = shares[static_cast<std::size_t>(i)];
      share.next.store(tasks * i / threads, std::memory_order_relaxed);
      share.end = tasks * (i + 1) / threads;
    }
    Loop loop{function, context, threads, shares, nullptr};
    {
      std::lock_guard<std::mutex> lock(mutex_);
      try {
        while (static_cast<int>(workers_.size()) < threads - 1) start_worker();
      } catch (const std::system_error&) {
        // No more threads for this process: those there are do the work.
      }
      loop_ = &loop;
      epoch_.fetch_add(1, std::memory_order_release);
    }
    wake_.notify_all();
    work(loop, 0);
    {
      std::lock_guard<std::mutex> lock(mutex_);
      loop_ = nullptr;  // nobody joins any more
    }
    const auto all_left = [this] { return running_.load(std::memory_order_acquire) == 0; };
    if (!spin_until(all_left)) {
      std::unique_lock<std::mutex> lock(mutex_);
      left_.wait(lock, all_left);
    }
    if (loop.error) std::rethrow_exception(loop.error);
    return true;
  }

 private:
  void start_worker() {
    const int id = static_cast<int>(workers_.size()) + 1;
    workers_.emplace_back([this, id] { serve(id); });
    workers_.back().detach();  // lives as long as the process; the pool is never destroyed
  }

  void serve(int id) {
    uint64_t seen = 0;
    for (;;) {
      const auto called = [&] { return epoch_.load(std::memory_order_acquire) != seen; };
      Loop* loop = nullptr;
      if (!spin_until(called)) {
        std::unique_lock<std::mutex> lock(mutex_);
        wake_.wait(lock, called);
      }
      {
        std::lock_guard<std::mutex> lock(mutex_);
        seen = epoch_.load(std::memory_order_relaxed);
        if (loop_ != nullptr && id < loop_->threads) {
          loop = loop_;
          running_.fetch_add(1, std::memory_order_relaxed);
        }
      }
      if (loop == nullptr) continue;
      work(*loop, id);
      {
        std::lock_guard<std::mutex> lock(mutex_);
        running_.fetch_sub(1, std::memory_order_release);
      }
      left_.notify_all();
    }
  }

  void work(Loop& loop, int worker) {
    for (int i = 0; i < loop.threads; ++i) {
      Share& share = loop.shares[static_cast<std::size_t>((worker + i) % loop.threads)];
      for (;;) {
        const int64_t task = share.next.fetch_add(1, std::memory_order_relaxed);
        if (task >= share.end) break;
        try {
          loop.function(loop.context, task, worker);
        } catch (...) {
          for (Share& each : loop.shares) each.next.store(each.end, std::memory_order_relaxed);
          std::lock_guard<std::mutex> lock(mutex_);
          if (!loop.error) loop.error = std::current_exception();
        }
      }
    }
  }

  std::mutex owner_;  // held by the thread whose loop runs
  std::mutex mutex_;  // guards loop_, workers_, joins and leaves
  std::condition_variable wake_, left_;
  std::vector<std::thread> workers_;
  Loop* loop_ = nullptr;
  std::atomic<uint64_t> epoch_{0};
  std::atomic<int> running_{0};
};

// Never destroyed: its threads may outlive static destructors. After fork() the child has no
// workers and perhaps a locked mutex, so it starts over with a new pool. The first is made when the
// library is loaded: a static that another thread initialises at the time of the fork would stay
// locked in the child.
std::atomic<Pool*> pool{nullptr};
[[maybe_unused]] const int registered = [] {
  pool.store(new Pool);
  after_fork_in_child([] { pool.store(new Pool); });
  return 0;
}();

// Asked once, when the module is loaded: the system takes 6 us to say.
const int kMostThreads = std::max(16, machine_processors());

}  // namespace

int most_threads() { return kMostThreads; }

void run_tasks(int64_t tasks, int threads, TaskFunction function, void* context) {
  threads = static_cast<int>(std::min<int64_t>(threads, tasks));
  if (threads > 1 && pool.load()->try_run(tasks, threads, function, context)) return;
  for (int64_t task = 0; task < tasks; ++task) function(context, task, 0);
}

}  // namespace facegen
