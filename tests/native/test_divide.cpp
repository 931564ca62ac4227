// The divisions of GPUs' threads, against the language's own.
#include <algorithm>
#include <cstdint>
#include <limits>

#include "check.h"
#include "cuda/fit/divide.h"

using namespace facegen::cuda;

namespace {

constexpr int kMost = std::numeric_limits<int>::max();

void test_divider(int divisor) {
  const Divider divider = make_divider(divisor);
  for (const int64_t at : {1, divisor, 1000003, kMost / 2, kMost - divisor, kMost}) {
    for (int64_t n = std::max<int64_t>(at - 2, 0); n <= std::min<int64_t>(at + 2, kMost); ++n) {
      CHECK(divider.divide(static_cast<int>(n)) == n / divisor);
    }
  }
  const int last = kMost / divisor * divisor;
  CHECK(divider.divide(last - 1) == (last - 1) / divisor && divider.divide(last) == kMost / divisor);
}

void test_reciprocal(int divisor) {
  const int64_t most = std::min(((int64_t{1} << 32) - 1) / divisor, int64_t{kMost});
  for (const int64_t at : {int64_t{1}, int64_t{divisor}, most / 2, most / divisor * divisor, most}) {
    for (int64_t n = std::max<int64_t>(at - 1, 0); n <= std::min(at + 1, most); ++n) {
      CHECK(divide(static_cast<int>(n), reciprocal(divisor)) == n / divisor);
    }
  }
}

// On both sides of where 32 bits end.
void test_quotient() {
  constexpr int64_t kEnd = int64_t{1} << 32;
  for (const int64_t a : {int64_t{0}, int64_t{7}, kEnd - 1, kEnd, kEnd + 5, std::numeric_limits<int64_t>::max()}) {
    for (const int64_t b : {int64_t{1}, int64_t{3}, kEnd - 1, kEnd, 3 * kEnd + 1}) CHECK(quotient(a, b) == a / b);
  }
}

}  // namespace

int main() {
  for (int divisor = 1; divisor < 3000; ++divisor) test_divider(divisor);
  for (const int divisor : {65535, 65536, 65537, 1 << 30, (1 << 30) + 1, kMost - 2}) test_divider(divisor);
  for (int divisor = 2; divisor < 3000; ++divisor) test_reciprocal(divisor);
  for (const int divisor : {65535, 65536, 65537, 1 << 30}) test_reciprocal(divisor);
  test_quotient();
}
