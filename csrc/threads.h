// A small persistent thread pool: one parallel loop at a time, the caller takes part.
//
// Chosen over OpenMP for three reasons: a child made by fork() gets a fresh pool (libgomp hangs
// there), Python threads that compute at once do not oversubscribe the machine (a loop that finds
// the pool busy runs on its caller alone), and idle workers sleep after a fraction of a millisecond.
// Which thread runs a task never changes a result: tasks write disjoint outputs.
#pragma once

#include <cstdint>
#include <type_traits>

namespace facegen {

// Most threads that a loop takes: the machine's processors, or 16 where there are fewer. Callers
// bound by it what they are asked for.
int most_threads();

using TaskFunction = void (*)(void* context, int64_t task, int worker);

// Runs function(context, task, worker) for 0 <= task < tasks on up to `threads` threads, in any
// order; worker < threads names the thread. Where the system gives no more threads, those there are
// do all of it. Tasks that follow one another mostly run on the same thread, and so do those at the
// same place of one loop and the next. The first exception is rethrown here once all running tasks
// have ended; tasks not yet begun are then left out.
void run_tasks(int64_t tasks, int threads, TaskFunction function, void* context);

// The same for a callable body(task, worker).
template <typename Body>
void parallel_for(int64_t tasks, int threads, Body&& body) {
  using Callable = std::remove_reference_t<Body>;
  run_tasks(
      tasks, threads,
      [](void* context, int64_t task, int worker) {
        (*static_cast<Callable*>(context))(task, worker);
      },
      const_cast<std::remove_const_t<Callable>*>(&body));
}

}  // namespace facegen
