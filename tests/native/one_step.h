// A program of one step over guarded buffers, and the checks that every step shares.
//
// Each tensor lies in a buffer as in a concatenation: `front` channels of one neighbour before it
// and `back` channels of another behind it in every pixel. Whatever the step must not touch holds
// kGuard, a NaN with bits of its own: overwritten it shows as other bits, read it makes a result
// NaN. Outputs hold it too before a run, so that one left out shows.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "check.h"
#include "cpu/dispatch.h"
#include "cpu/executable.h"
#include "program.h"
#include "tolerance.h"

namespace facegen::test {

inline uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float from_bits(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

inline const float kGuard = from_bits(0x7fc5a5a5);

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

// The seed of this run: FACEGEN_TEST_SEED, or always the same one. Printed, to repeat a failure.
inline uint32_t seed() {
  static const uint32_t value = [] {
    const char* variable = std::getenv("FACEGEN_TEST_SEED");
    const auto chosen = variable == nullptr
                            ? uint32_t{20240607}
                            : static_cast<uint32_t>(std::strtoul(variable, nullptr, 10));
    std::printf("FACEGEN_TEST_SEED=%u\n", chosen);
    std::fflush(stdout);
    return chosen;
  }();
  return value;
}

// Names what runs next: whatever fails, be it by a crash, the last line tells where.
inline void begin_case(const std::string& name, const cpu::Kernels& kernels) {
  std::printf("%s: %s\n", kernels.isa, name.c_str());
  std::fflush(stdout);
}

// Uniform in [-1, 1).
inline std::vector<float> draw(int64_t count, std::mt19937& random) {
  std::uniform_real_distribution<float> uniform(-1.0f, 1.0f);
  std::vector<float> values(static_cast<std::size_t>(count));
  for (float& value : values) value = uniform(random);
  return values;
}

struct Tensor {
  int h, w, c;
  int front = 0, back = 0;

  int64_t pixels() const { return int64_t{1} * h * w; }
  int64_t size() const { return pixels() * c; }
  int64_t pixel_stride() const { return int64_t{1} * front + c + back; }
  int64_t floats() const { return pixels() * pixel_stride(); }
  View view(int buffer) const { return {buffer, h, w, c, pixel_stride(), front}; }
};

// Dense (n, h, w, c) values as a batch's buffers, exactly as long as they must be.
inline std::vector<float> lay_out(const Tensor& tensor, const std::vector<float>& values) {
  const int64_t pixels = static_cast<int64_t>(values.size()) / tensor.c;
  std::vector<float> buffer(static_cast<std::size_t>(pixels * tensor.pixel_stride()), kGuard);
  for (int64_t p = 0; p < pixels; ++p) {
    std::memcpy(&buffer[static_cast<std::size_t>(p * tensor.pixel_stride() + tensor.front)],
                &values[static_cast<std::size_t>(p * tensor.c)],
                static_cast<std::size_t>(tensor.c) * sizeof(float));
  }
  return buffer;
}

// The values of a batch's buffers, dense. Checks that all are written and nothing else is.
inline std::vector<float> take_out(const Tensor& tensor, const std::vector<float>& buffer) {
  std::vector<float> values;
  for (std::size_t i = 0; i < buffer.size(); ++i) {
    const auto channel = static_cast<int64_t>(i) % tensor.pixel_stride() - tensor.front;
    const bool untouched = bits_of(buffer[i]) == bits_of(kGuard);
    CHECK(untouched == (channel < 0 || channel >= tensor.c));
    if (!untouched) values.push_back(buffer[i]);
  }
  return values;
}

class OneStep {
 public:
  // `step` with everything but its views; `add` may be null.
  OneStep(Step step, const Tensor& in, const Tensor& out, const Tensor* add,
          const cpu::Kernels& kernels)
      : in_(in), out_(out), add_(add == nullptr ? Tensor{1, 1, 1} : *add) {
    step.in = in_.view(0);
    step.out = out_.view(1);
    if (add != nullptr) step.epilogue.other = add_.view(2);
    const Buffer buffers[] = {{BufferKind::kInput, 0, in_.floats(), 0},
                              {BufferKind::kOutput, 0, out_.floats(), 0},
                              {BufferKind::kInput, 1, add_.floats(), 0}};
    const Program program = {&step, 1, buffers, 3, 0};
    executable_ = std::make_unique<cpu::Executable>(program, kernels);
  }

  // Dense values in, dense values out.
  std::vector<float> run(int64_t images, const std::vector<float>& in,
                         const std::vector<float>& add, int threads) const {
    const std::vector<float> in_buffer = lay_out(in_, in), add_buffer = lay_out(add_, add);
    std::vector<float> out_buffer(static_cast<std::size_t>(images * out_.floats()), kGuard);
    const float* const inputs[] = {in_buffer.data(), add_buffer.data()};
    float* const outputs[] = {out_buffer.data()};
    executable_->run(images, inputs, outputs, threads);
    return take_out(out_, out_buffer);
  }

  // A batch's results, after checks that hold for every step: neither memory that an earlier run
  // left full of NaN changes a bit, nor the number of threads, nor the batch.
  std::vector<float> run_checked(int64_t images, const std::vector<float>& in,
                                 const std::vector<float>& add) const {
    std::vector<float> result;
    // A new thread's scratch memory is just as long as needed: AddressSanitizer sees its ends.
    std::thread([&] { result = run(images, in, add, 1); }).join();
    const std::vector<float> nans(in.size(), std::nanf(""));
    for (int threads : {1, 3}) run(images, nans, add, threads);
    for (int threads : {1, 2, 3}) CHECK(same_bits(run(images, in, add, threads), result));
    for (int64_t image = 0; image < images; ++image) {
      const auto part = [&](const std::vector<float>& of) {
        const auto count = static_cast<int64_t>(of.size()) / images;
        return std::vector<float>(of.begin() + image * count, of.begin() + (image + 1) * count);
      };
      CHECK(same_bits(run(1, part(in), part(add), image % 2 == 0 ? 1 : 2), part(result)));
    }
    return result;
  }

 private:
  Tensor in_, out_, add_;
  std::unique_ptr<cpu::Executable> executable_;
};

// expected(i) is what element i of dense (n, h, w, c) values must be.
template <typename Expected>
void check_close(const Tensor& tensor, const std::vector<float>& found, Expected expected) {
  for (std::size_t i = 0; i < found.size(); ++i) {
    const Bounded want = expected(static_cast<int64_t>(i));
    if (std::fabs(static_cast<double>(found[i]) - want.value) <= want.bound) continue;
    const auto pixel = static_cast<int64_t>(i) / tensor.c;
    std::fprintf(stderr, "image %lld, y %lld, x %lld, channel %lld: %.9g, expected %.9g +- %.3g\n",
                 static_cast<long long>(pixel / tensor.pixels()),
                 static_cast<long long>(pixel % tensor.pixels() / tensor.w),
                 static_cast<long long>(pixel % tensor.w),
                 static_cast<long long>(static_cast<int64_t>(i) % tensor.c),
                 static_cast<double>(found[i]), want.value, want.bound);
    std::exit(1);
  }
}

}  // namespace facegen::test
