// Threads that stay: each waits for the next call instead of being made anew.
//
// facegen's own are csrc/threads.h.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace course {

class Threads {
 public:
  explicit Threads(int count) {
    for (int i = 1; i < count; ++i) workers_.emplace_back([this, i] { work(i); });
  }
  ~Threads() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      ended_ = true;
    }
    begin_.notify_all();
    for (std::thread& worker : workers_) worker.join();
  }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

  int count() const { return static_cast<int>(workers_.size()) + 1; }

  // task(i) on thread i, for each; returns when all are through.
  void run(const std::function<void(int)>& task) {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      task_ = &task;
      ++calls_;
      busy_ = static_cast<int>(workers_.size());
    }
    begin_.notify_all();
    task(0);
    std::unique_lock<std::mutex> lock(mutex_);
    end_.wait(lock, [this] { return busy_ == 0; });
  }

 private:
  void work(int i) {
    for (int done = 0;;) {
      std::unique_lock<std::mutex> lock(mutex_);
      begin_.wait(lock, [&] { return ended_ || calls_ != done; });
      if (ended_) return;
      done = calls_;
      const std::function<void(int)>* task = task_;
      lock.unlock();
      (*task)(i);
      lock.lock();
      if (--busy_ == 0) end_.notify_one();
    }
  }

  std::mutex mutex_;
  std::condition_variable begin_, end_;
  const std::function<void(int)>* task_ = nullptr;
  int calls_ = 0, busy_ = 0;
  bool ended_ = false;
  std::vector<std::thread> workers_;
};

}  // namespace course
