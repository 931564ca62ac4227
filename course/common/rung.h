// What all rungs share: the command line, the check, the clock, and one line of JSON a problem.
//
// A rung is a class that derives from course::Rung and has
//
//   static constexpr const char* kName = "01_naive";
//   static constexpr Layout kLayout = Layout::kNchw;    how the numbers lie in memory
//   T(const Problem& p, const float* weights, int threads)   once, as a network is loaded: not timed
//   void run(const float* input, float* output)              timed
//
// and `int main(int argc, char** argv) { return course::climb<T>(argc, argv); }`. In a .cu file
// `input` and `output` are the GPU's memory, `weights` is the host's, and run launches kernels on the
// default stream; everything else is the same.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "check.h"
#include "data.h"
#include "line.h"
#include "problem.h"
#if defined(__CUDACC__)
#include "machine_gpu.h"
#else
#include "machine_cpu.h"
#endif

namespace course {

struct Rung {
  static constexpr Arithmetic kArithmetic = {};
  static constexpr bool kThreaded = false;  // uses the threads that it is given
  static constexpr bool kEmulates = false;  // what is missing is emulated: verified, but not timed
  // What this rung needs and this machine lacks; nullptr where nothing is missing.
  static const char* missing() { return nullptr; }
  // The ceiling that this rung stands under.
  static double ceiling_gflops(int threads) { return peak_gflops(threads); }
};

struct Options {
  const char* problem = nullptr;  // all
  bool tiny = false;
  int images = 0;   // the problem's own
  int threads = 0;  // all
  double seconds = 0.5;
};

[[noreturn]] inline void usage(const char* program) {
  std::fprintf(stderr,
               "usage: %s [--problem conv3x3|tconv2] [--tiny] [--images N] [--threads N] "
               "[--seconds S]\n", program);
  std::exit(2);
}

inline Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--tiny") {
      options.tiny = true;
      continue;
    }
    if (i + 1 == argc) usage(argv[0]);
    const char* text = argv[++i];
    char* end = nullptr;
    const double number = std::strtod(text, &end);
    const bool positive = *end == '\0' && end != text && number > 0 && number <= 1e6;
    if (name == "--problem") options.problem = text;
    else if (name == "--images" && positive) options.images = static_cast<int>(number);
    else if (name == "--threads" && positive) options.threads = static_cast<int>(number);
    else if (name == "--seconds" && positive) options.seconds = number;
    else usage(argv[0]);
  }
  return options;
}

// Verifies, times and prints one problem; whether the result was right.
template <class T>
bool solve(const Problem& p, const Options& options) {
  const int threads =
      !T::kThreaded ? 1 : options.threads > 0 ? options.threads : machine_threads();
  Line line;
  line.add("{\"rung\": \"%s\", \"problem\": \"%s\", \"images\": %d, \"threads\": %d, "
           "\"machine\": \"%s\"", T::kName, p.name, p.images, threads, machine_name().c_str());
  const char* missing = T::missing();
  const auto end = [&](const char* verified) {
    if (missing != nullptr) line.add(", \"not_timed\": \"%s\"", missing);
    line.add(", \"verified\": %s}", verified);
    line.print();
  };
  if (missing != nullptr && !T::kEmulates) return end("null"), true;

  const std::vector<float> weights = make_weights(p, T::kLayout);
  const std::vector<float> input = make_input(p, T::kLayout);
  Buffer in(p.inputs()), out(p.outputs());
  in.put(input);
  T rung(p, weights.data(), threads);
  rung.run(in.data(), out.data());
  const std::vector<float> output = out.get();
  const Verdict verdict =
      check(p, T::kLayout, input.data(), weights.data(), output.data(), T::kArithmetic);
  line.add(", \"error\": %.3g", std::min(verdict.worst, 1e30));
  if (!verdict.right) {
    line.add(", \"wrong\": \"%s\"", verdict.where.c_str());
    return end("false"), false;
  }
  if (missing == nullptr) {
    double least = 1e30, total = 0;
    for (int runs = 0; runs < 3 || (total < options.seconds && runs < 10000); ++runs) {
      const double seconds =
          seconds_of([&] { rung.run(in.data(), out.data()); }, threads);
      least = std::min(least, std::max(seconds, 1e-9));
      total += std::max(seconds, 1e-5);
    }
    const double gflops = 2e-9 * static_cast<double>(p.products()) / least;
    const double peak = T::ceiling_gflops(threads);
    line.add(", \"ms\": %.4g, \"gflops\": %.4g, \"peak_gflops\": %.4g, \"percent_of_peak\": %.3g",
             least * 1e3, gflops, peak, 100 * gflops / peak);
  }
  return end("true"), true;
}

// 0: right; 1: wrong; 2: usage.
template <class T>
int climb(int argc, char** argv) {
  const Options options = parse(argc, argv);
  bool known = false, right = true;
  for (const Problem& listed : options.tiny ? kTinyProblems : kProblems) {
    if (options.problem != nullptr && std::string(options.problem) != listed.name) continue;
    known = true;
    Problem p = listed;
    if (options.images > 0) p.images = options.images;
    right &= solve<T>(p, options);
  }
  if (!known) usage(argv[0]);
  return right ? 0 : 1;
}

}  // namespace course
