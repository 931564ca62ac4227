// The algorithms that GPUs have by name, each thread's arithmetic run here in loops: against the definition in
// float64, inside wider buffers, for any batch and any order of threads. No CUDA is needed.
#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "algorithms.h"
#include "check.h"
#include "cuda/algorithms/im2col.h"
#include "cuda/algorithms/naive.h"
#include "cuda/algorithms/winograd.h"
#include "gemm_layer.h"
#include "host_executor.h"
#include "one_step.h"

using namespace facegen;
using namespace facegen::test;
namespace gpu = facegen::cuda::algorithms;

namespace {

// Writes the sums, and counts how often each output is written.
struct StoreSums {
  float* out;
  int* writes;
  int64_t image_stride, pixel_stride, pixels, out_c;

  void operator()(int64_t image, int64_t pixel, int n, float sum) const {
    CHECK(image >= 0 && pixel >= 0 && pixel < pixels && n >= 0 && n < out_c);
    out[image * image_stride + pixel * pixel_stride + n] = sum;
    ++writes[(image * pixels + pixel) * out_c + n];
  }
};

// Dense values in, dense sums out.
template <class Chosen>
std::vector<float> run(const Chosen& algorithm, const Layer& l, const Step& step, int64_t images,
                       const std::vector<float>& in, bool reversed) {
  const std::vector<float> buffer = lay_out(l.in, in);
  std::vector<float> out(static_cast<std::size_t>(images * l.out.floats()), kGuard);
  std::vector<int> writes(static_cast<std::size_t>(images * l.out.size()));
  const gpu::Map map = {buffer.data() + l.in.front, l.in.floats(), l.in.pixel_stride(),
                         l.in.h, l.in.w, l.in.c};
  const StoreSums store = {out.data() + l.out.front, writes.data(), l.out.floats(),
                           l.out.pixel_stride(), l.out.pixels(), l.out.c};
  // Just as long as asked for, full of NaN: AddressSanitizer sees its ends.
  const int64_t floats = algorithm.scratch_floats() * std::min(images, cuda::kScratchImages);
  std::vector<float> scratch(static_cast<std::size_t>(floats), kGuard);
  algorithm.run(HostExecutor{reversed}, algorithm.weights(step).data(), map, images, scratch.data(), store);
  for (const int count : writes) CHECK(count == 1);
  return take_out(l.out, out);
}

// By the step's algorithm. `stretch`: floats of Winograd's; 1 is the fewest tiles at a time.
std::vector<float> run(const Layer& l, const Step& step, int64_t images, const std::vector<float>& in,
                       bool reversed, int64_t stretch = gpu::kStretchFloats) {
  switch (step.algorithm) {
    case Algorithm::kNaive: return run(gpu::Naive(step), l, step, images, in, reversed);
    case Algorithm::kIm2col: return run(gpu::Im2col(step), l, step, images, in, reversed);
    case Algorithm::kWinograd: return run(gpu::Winograd(step, stretch), l, step, images, in, reversed);
    default: CHECK(!"an algorithm that is not among kAlgorithms"); return {};
  }
}

struct NamedAlgorithm {
  Algorithm algorithm;
  const char* name;
};
constexpr NamedAlgorithm kAlgorithms[] = {{Algorithm::kNaive, "naive"},
                                          {Algorithm::kIm2col, "im2col"},
                                          {Algorithm::kWinograd, "winograd"}};

void check_layer(const Layer& l, const NamedAlgorithm& named, std::mt19937& random) {
  std::printf("%s: %s\n", named.name, describe(l).c_str());
  std::fflush(stdout);
  const Data data = draw_data(l, random);
  const std::vector<Phase> phases = phases_of(l);
  Step step = step_of(l, data, phases, named.algorithm);
  step.in = l.in.view(0);
  step.out = l.out.view(1);
  Sums sums = sums_of(l, data);
  if (named.algorithm == Algorithm::kWinograd) {
    if (!winograd_takes(step)) return;
    // All inputs of a tile take part in each of its outputs.
    const int64_t most = std::max({divide_up(l.y.kernel, l.y.stride), divide_up(l.x.kernel, l.x.stride)});
    std::fill(sums.magnitude.begin(), sums.magnitude.end(),
              winograd_magnitude(static_cast<int>(most) + 1) * largest_magnitude(sums.magnitude));
  }
  const std::vector<float> found = run(l, step, l.images, data.in, false);
  const int64_t length = int64_t{l.y.kernel} * l.x.kernel * l.in.c;
  check_close(l.out, found, [&](int64_t i) {
    const auto at = static_cast<std::size_t>(i);
    return sum_of_products(sums.value[at], sums.magnitude[at], sums.largest, length,
                           cpu::Products::kFloat32);
  });
  CHECK(same_bits(run(l, step, l.images, data.in, true), found));
  CHECK(same_bits(run(l, step, l.images, data.in, true, 1), found));
  for (int64_t image = 0; image < l.images; ++image) {
    const auto part = [&](const std::vector<float>& of) {
      const auto count = static_cast<int64_t>(of.size()) / l.images;
      return std::vector<float>(of.begin() + image * count, of.begin() + (image + 1) * count);
    };
    CHECK(same_bits(run(l, step, 1, part(data.in), false), part(found)));
  }
}

std::vector<Layer> layers() {
  std::vector<Layer> all = {
      conv2d(2, {9, 8, 7, 2, 1}, 9, {3, 1, 1, 1}),
      conv2d(2, {6, 7, 5}, 18, {1}),
      conv2d(1, {1, 1, 1}, 1, {1}),
      conv2d(1, {11, 12, 70}, 33, {5, 1, 2, 2}),
      conv2d(2, {8, 9, 6}, 3, {2, 1, 0, 2}, {4, 1, 3, 1}),
      conv2d(1, {4, 5, 9}, 4, {11, 1, 5, 5}),
      conv2d(1, {11, 12, 6}, 8, {3, 2, 1, 1}),
      conv2d(1, {20, 9, 6}, 8, {7, 3}, {3, 1}),
      conv2d(1, {13, 14, 5, 0, 3}, 6, {5, 2, 2, 2}, {9, 4, 1, 3}),
      conv2d(2, {9, 10, 6}, 8, {3, 1, 2, 2, 2}),
      conv2d(1, {7, 6, 3}, 5, {3, 1, 8, 8, 8}, {2, 1, 20, 20, 20}),  // gaps wider than the map
      conv2d(1, {23, 5, 4}, 66, {3, 1, 1, 1, 3}, {4, 1, 3, 3, 2}),
      conv2d(1, {9, 9, 3}, 4, {3, 2, 2, 2, 3}),  // stride and dilation: not Winograd's
      conv2d(11, {5, 4, 3, 1, 2}, 2, {3, 1, 1, 1}),  // more images than scratch memory is for
      conv2d(1, {3, 3, 300}, 130, {3, 1, 1, 1}),
      conv2d(3, {31, 33, 2}, 3, {3, 1, 1, 1}),  // 272 tiles of an image: stretches across two of them
      conv_transpose2d(2, {5, 6, 9, 1, 0}, 6, {5, 2, 1, 2}),
      conv_transpose2d(1, {4, 5, 9}, 6, {3, 1, 1, 1}),
      conv_transpose2d(1, {4, 5, 4}, 6, {2, 3, 0, 0, 1, 1}),
      conv_transpose2d(2, {4, 3, 5}, 7, {4, 2, 1, 1}, {11, 4, 2, 1}),
      linear(3, 300, 40),
  };
  for (Layer& layer : all) {
    layer.out.front = 2;
    layer.out.back = 1;
  }
  return all;
}

// Sizes around those of tiles, at random.
Layer draw_layer(std::mt19937& random) {
  const auto any = [&](int from, int to) { return std::uniform_int_distribution<int>(from, to)(random); };
  const auto window = [&](bool transposed) {
    const int kernel = any(1, 6);
    return transposed ? test::Window{kernel, any(1, 3), any(0, kernel - 1), any(0, kernel - 1), 1, any(0, 1)}
                      : test::Window{kernel, any(1, 3), any(0, kernel), any(0, kernel), any(1, 3)};
  };
  while (true) {
    const bool transposed = any(0, 2) == 0;
    const Tensor in = {any(1, 12), any(1, 12), any(1, 20), any(0, 2), any(0, 2)};
    const auto y = window(transposed), x = window(transposed);
    const Layer layer = transposed ? conv_transpose2d(any(1, 3), in, any(1, 70), y, x)
                                   : conv2d(any(1, 3), in, any(1, 70), y, x);
    if (layer.out.h > 0 && layer.out.w > 0) return layer;
  }
}

// Tiles of a stretch: all of an image, or fewer where they are many numbers.
void test_stretches() {
  const Layer l = conv2d(2, {150, 6, 1024}, 1, {5, 1, 2, 2}, {5, 1, 2, 2});
  const std::vector<Phase> phases = phases_of(l);
  Step step = step_of(l, {}, phases, Algorithm::kWinograd);
  step.in = l.in.view(0);
  step.out = l.out.view(1);
  const auto parts = gpu::winograd_parts(gpu::Convolution(step));
  CHECK(parts.size() == 1 && parts[0].tiles() == 75 * 3 && parts[0].points() == 36);
  CHECK(gpu::winograd_floats(parts) == parts[0].tiles() * parts[0].tile_floats);
  CHECK(gpu::winograd_floats(parts, 1) == gpu::kProductTile * parts[0].tile_floats);
  // With 32 times the channels, 64 at a time.
  step.in.c *= 32;
  const auto wide = gpu::winograd_parts(gpu::Convolution(step));
  CHECK(gpu::winograd_floats(wide) == gpu::kProductTile * wide[0].tile_floats);
}

void test_what_is_taken() {
  const auto takes = [](const Layer& l) {
    const std::vector<Phase> phases = phases_of(l);
    return winograd_takes(step_of(l, {}, phases, Algorithm::kWinograd));
  };
  CHECK(takes(conv2d(1, {9, 9, 3}, 4, {3, 1, 1, 1})));
  CHECK(takes(conv2d(1, {9, 9, 3}, 4, {7, 2, 1, 1}, {2})));
  CHECK(takes(conv_transpose2d(1, {9, 9, 3}, 4, {5, 2, 1, 1})));
  CHECK(!takes(conv2d(1, {9, 9, 3}, 4, {1}, {3})));
  CHECK(!takes(conv2d(1, {9, 9, 3}, 4, {6}, {3})));
  CHECK(!takes(conv_transpose2d(1, {9, 9, 3}, 4, {2, 2})));
}

}  // namespace

int main() {
  std::mt19937 random(seed());
  test_what_is_taken();
  std::vector<Layer> all = layers();
  for (int i = 0; i < 150; ++i) all.push_back(draw_layer(random));
  for (const Layer& layer : all) {
    for (const NamedAlgorithm& named : kAlgorithms) check_layer(layer, named, random);
  }
  test_stretches();
}
