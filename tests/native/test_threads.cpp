#include "threads.h"

#include <atomic>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "process.h"

using namespace facegen;

namespace {

void test_every_task_once() {
  for (int threads : {1, 2, 5}) {
    for (int64_t tasks : {0, 1, 2, 1000}) {
      std::vector<std::atomic<int>> runs(static_cast<size_t>(tasks));
      std::atomic<bool> worker_in_range{true};
      parallel_for(tasks, threads, [&](int64_t task, int worker) {
        ++runs[static_cast<size_t>(task)];
        if (worker < 0 || worker >= threads) worker_in_range = false;
      });
      for (const auto& count : runs) CHECK(count == 1);
      CHECK(worker_in_range);
    }
  }
}

void test_exception_reaches_the_caller() {
  for (int threads : {1, 3}) {
    bool caught = false;
    try {
      parallel_for(100, threads, [](int64_t task, int) {
        if (task == 40) throw std::runtime_error("task 40");
      });
    } catch (const std::runtime_error& error) {
      caught = std::string(error.what()) == "task 40";
    }
    CHECK(caught);
  }
}

void test_nested_loops() {
  std::atomic<int> runs{0};
  parallel_for(4, 2, [&](int64_t, int) { parallel_for(8, 2, [&](int64_t, int) { ++runs; }); });
  CHECK(runs == 32);
}

int64_t sum_of_tasks(int64_t tasks, int threads) {
  std::atomic<int64_t> sum{0};
  parallel_for(tasks, threads, [&](int64_t task, int) { sum += task; });
  return sum;
}

// Of many exceptions one arrives, tasks not yet begun are left out, and the pool goes on.
void test_every_task_throws() {
  for (int threads : {1, 2, 5}) {
    for (int repeat = 0; repeat < 50; ++repeat) {
      std::atomic<int> begun{0};
      bool caught = false;
      try {
        parallel_for(1000, threads, [&](int64_t task, int) {
          ++begun;
          throw task;
        });
      } catch (int64_t task) {
        caught = task >= 0 && task < 1000;
      }
      CHECK(caught);
      CHECK(begun >= 1 && begun <= threads);
      CHECK(sum_of_tasks(100, threads) == 4950);
    }
  }
}

// A loop that finds the pool busy runs on its caller alone; an exception stays with its loop.
void test_callers_at_once() {
  std::vector<std::thread> callers;
  for (int id = 0; id < 4; ++id) {
    callers.emplace_back([id] {
      for (int i = 0; i < 200; ++i) {
        if (id == 0) {
          bool caught = false;
          try {
            parallel_for(50, 3, [](int64_t task, int) {
              if (task == 7) throw std::runtime_error("task 7");
            });
          } catch (const std::runtime_error&) {
            caught = true;
          }
          CHECK(caught);
        } else {
          CHECK(sum_of_tasks(100, 3) == 4950);
        }
      }
    });
  }
  for (std::thread& caller : callers) caller.join();
}

bool computes() {
  for (int i = 0; i < 20; ++i) CHECK(sum_of_tasks(1000, 3) == 499500);
  return true;
}

// The child has none of the parent's workers; nor, while another thread computes, a free pool.
void test_fork() {
  CHECK(sum_of_tasks(1000, 3) == 499500);
  test::check_in_child(computes);
  std::atomic<bool> stop{false};
  std::thread busy([&] {
    while (!stop) CHECK(sum_of_tasks(1000, 3) == 499500);
  });
  for (int i = 0; i < 10; ++i) test::check_in_child(computes);
  stop = true;
  busy.join();
  CHECK(sum_of_tasks(1000, 3) == 499500);
}

// Where the system starts no more threads, the caller does the work.
void test_no_more_threads() {
#if !defined(_WIN32)
  test::check_in_child([] {
    const rlimit none = {0, 0};
    CHECK(setrlimit(RLIMIT_NPROC, &none) == 0);
    // Root is exempt from the limit; where it cannot become another user, nothing is shown.
    return (geteuid() == 0 && setuid(65534) != 0) || computes();
  });
#endif
}

}  // namespace

int main() {
  test_every_task_once();
  test_exception_reaches_the_caller();
  test_nested_loops();
  test_every_task_throws();
  test_callers_at_once();
  test_fork();
  test_no_more_threads();
}
