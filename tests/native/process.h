// A process of tests: its environment variables, and children made by fork().
#pragma once

#include <cstdio>
#include <cstdlib>

#if defined(_WIN32)
#include <string>
#else
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

#include "check.h"

namespace facegen::test {

#if defined(_WIN32)

inline void set_variable(const char* name, const char* value) {
  CHECK(_putenv((std::string(name) + "=" + value).c_str()) == 0);
}
inline void unset_variable(const char* name) { set_variable(name, ""); }

template <typename Body>
void check_in_child(Body) {
  std::puts("not run: Windows has no fork()");
}

#else

inline void set_variable(const char* name, const char* value) {
  CHECK(setenv(name, value, 1) == 0);
}
inline void unset_variable(const char* name) { CHECK(unsetenv(name) == 0); }

// body() in a child made by fork(): it must return true, and soon.
template <typename Body>
void check_in_child(Body body) {
  const pid_t child = fork();
  CHECK(child >= 0);
  if (child == 0) {
    alarm(20);  // a hang is a failure
    _exit(body() ? 0 : 1);
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#endif

}  // namespace facegen::test
