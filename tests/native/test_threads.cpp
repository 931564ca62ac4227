#include "threads.h"

#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.h"

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

}  // namespace

int main() {
  test_every_task_once();
  test_exception_reaches_the_caller();
  test_nested_loops();
}
