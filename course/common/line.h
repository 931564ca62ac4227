// The line of JSON of one problem: kept until it is whole, and printed at once on a line of its own,
// so that what run() may print itself is never in the middle of it.
#pragma once

#include <cstdarg>
#include <cstdio>
#include <string>

namespace course {

class Line {
 public:
  // As printf.
#if defined(__GNUC__)
  __attribute__((format(printf, 2, 3)))
#endif
  void add(const char* format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    const int length = std::vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (length > 0) text_ += text;
  }

  void print() const {
    std::printf("\n%s\n", text_.c_str());
    std::fflush(stdout);
  }

 private:
  std::string text_;
};

}  // namespace course
