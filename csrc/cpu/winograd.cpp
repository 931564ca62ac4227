#include "cpu/winograd.h"

#include <algorithm>
#include <cstdlib>

#include "threads.h"

namespace facegen::cpu {
namespace {

// Tiles and columns of a task. Its products, 16 points of 56 x 128 floats, are 0.5 MB; a row of
// points' weights, 4 x 128 x 128 floats, stay in L2 for 4 row tiles. 112 tiles are as fast, and so
// are 256 columns where there are as many.
constexpr int64_t kBlockTiles = 56;
constexpr int64_t kBlockColumns = 128;

// Channels of a stretch: a row tile's panels for a row of points, 4 x 14 x 128 floats, fill 28 KiB
// of L1.
constexpr int kDepth = 128;

// At batch 1 the weights are read for one image's tiles alone, and there are 16/9 to 9/4 times as
// many as of the definition. Speed against Gemm at batch 1 / 8, one thread of a server core with
// 2 MiB of L2; with 64 tiles or more it was always above 1.
//   tiles  layer                       weights    AVX-512      AVX2
//       4  3x3 256 -> 256, 4x4          4 MiB    0.57 / 1.14  0.70 / 1.17
//       4  5x5 s2 512 -> 256, 4x4      24 MiB    0.59 / 1.16  0.85 / 1.10
//      16  5x5 s2 256 -> 128, 8x8       6 MiB    1.20 / 1.46  1.44 / 1.55
//      16  3x3 512 -> 512, 8x8         16 MiB    1.23 / 1.40  1.47 / 1.56
//      16  4x4 s2 512 -> 512, 8x8      36 MiB    0.77 / 1.19  1.32 / 1.45
//      64  4x4 s2 1024 -> 256, 16x16   36 MiB    1.09 / 1.31  1.36 / 1.37
//      64  5x5 s2 128 -> 64, 16x16      2 MiB    1.62 / 1.49  1.66 / 1.66
//    1024  3x3 128 -> 128, 64x64        1 MiB    1.87 / 1.89  2.01 / 1.98
constexpr int64_t kFewestTiles = 16, kManyTiles = 64;
constexpr int64_t kMostWeightBytes = int64_t{16} << 20;

// Below that the transforms cost more than they save (16 -> 16 channels gain 1.5 times, 8 -> 128
// nothing).
constexpr int kFewestChannels = 16;

constexpr int kPatchPixels = kWinogradPatch * kWinogradPatch;

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Along y, v[point] = d[first] + sign * d[second]; by taps - 2, point. (isa/winograd_ops.h has the
// same formulas along x.)
struct InputTerms {
  int first, second;
  float sign;
};
constexpr InputTerms kInputTerms[2][4] = {
    {{0, 1, -1.0f}, {1, -1, 0.0f}, {2, 1, -1.0f}},
    {{0, 2, -1.0f}, {1, 2, 1.0f}, {2, 1, -1.0f}, {1, 3, -1.0f}},
};
// u[point] = the sum of factor[tap] * g[tap]; by taps - 2, point, tap.
constexpr double kWeightFactors[2][4][3] = {
    {{1, 0}, {1, 1}, {0, 1}},
    {{1, 0, 0}, {0.5, 0.5, 0.5}, {0.5, -0.5, 0.5}, {0, 0, 1}},
};

// Pairs (output, tap) that read inside an input of `size`: what Gemm multiplies.
int64_t valid_taps(const Axis& axis, int size) {
  int64_t count = 0;
  for (int64_t o = 0; o < axis.out; ++o) {
    for (int64_t t = 0; t < axis.taps; ++t) {
      const int64_t i = o + t * axis.dir + axis.base;
      count += i >= 0 && i < size;
    }
  }
  return count;
}

}  // namespace

// The image and the place in it of a part's tiles, one after another.
struct Winograd::Position {
  Position(const Part& part, int64_t tile)
      : image(tile / part.tiles()),
        y(static_cast<std::size_t>(tile % part.tiles() / part.x.count())),
        x(static_cast<std::size_t>(tile % part.x.count())),
        rows(static_cast<std::size_t>(part.y.count())),
        columns(static_cast<std::size_t>(part.x.count())) {}
  void next() {
    if (++x < columns) return;
    x = 0;
    if (++y < rows) return;
    y = 0;
    ++image;
  }
  int64_t image;
  std::size_t y, x, rows, columns;
};

bool Winograd::suits(const Step& step, const Kernels& kernels) {
  if (step.direct_only || kernels.split_products) return false;
  if (step.in.c < kFewestChannels || step.out.c < kFewestChannels) return false;
  // Of one image: the most tiles of a phase, products a pair of channels, and by definition.
  int64_t tiles = 0, products = 0, direct_products = 0, weight_bytes = 0;
  for (int i = 0; i < step.phase_count; ++i) {
    for (const Axis& axis : {step.phases[i].y, step.phases[i].x}) {
      if (axis.step != 1 || axis.dir == 0 || axis.taps < 2 || axis.taps > 3) return false;
    }
    const Tiles y = cut_axis(step.phases[i].y), x = cut_axis(step.phases[i].x);
    const int64_t points = int64_t{1} * y.points() * x.points();
    tiles = std::max(tiles, y.count() * x.count());
    products += y.count() * x.count() * points;
    direct_products +=
        valid_taps(step.phases[i].y, step.in.h) * valid_taps(step.phases[i].x, step.in.w);
    weight_bytes += 4 * points * step.in.c * step.out.c;
  }
  // Not so where tiles stick out of small maps, or of the grids of a large dilation.
  if (products >= direct_products) return false;
  return tiles >= kManyTiles || (tiles >= kFewestTiles && weight_bytes <= kMostWeightBytes);
}

// The outputs that are a multiple of the dilation apart form a grid of their own, which an
// undilated filter runs over.
Winograd::Tiles Winograd::cut_axis(const Axis& axis) {
  Tiles tiles{{},
              std::abs(axis.dir),
              axis.taps,
              axis.dir > 0 ? axis.base : axis.base + axis.dir * (axis.taps - 1),
              axis.out,
              axis.out_origin,
              axis.out_step};
  for (int grid = 0; grid < std::min(tiles.dilation, axis.out); ++grid) {
    for (int64_t o = grid; o < axis.out; o += int64_t{2} * tiles.dilation) {
      tiles.first_output.push_back(static_cast<int>(o));
    }
  }
  return tiles;
}

Winograd::Winograd(const Step& step, const Kernels& kernels)
    : kernels_(kernels),
      in_(step.in),
      out_(step.out),
      epilogue_(step.epilogue),
      bias_(step.bias),
      panels_(static_cast<int>(divide_up(step.out.c, kernels.panel_columns))),
      stretch_channels_(static_cast<int>(divide_up(step.in.c, divide_up(step.in.c, kDepth)))),
      zeros_(static_cast<std::size_t>(step.in.c), 0.0f) {
  std::vector<Phase> phases;
  for (int i = 0; i < step.phase_count; ++i) {
    const Phase& phase = step.phases[i];
    if (phase.y.out <= 0 || phase.x.out <= 0) continue;
    phases.push_back(phase);
    parts_.push_back({cut_axis(phase.y), cut_axis(phase.x), {}});
    add_blocks(parts_.back());
  }
  packed_ = allocate_aligned<char>(packed_bytes_);
  for (std::size_t i = 0; i < parts_.size(); ++i) pack_weights(parts_[i], phases[i], step);
}

void Winograd::add_blocks(Part& part) {
  for (int row = 0; row < part.y.points(); ++row) {
    for (int first = 0; first < in_.c; first += stretch_channels_) {
      const int channels = std::min(stretch_channels_, in_.c - first);
      part.blocks.push_back({row, first, channels, packed_bytes_});
      packed_bytes_ += kernels_.weight_panel_bytes(channels) * panels_ * part.x.points();
    }
  }
}

// Transforms in double: each weight is rounded once.
void Winograd::pack_weights(const Part& part, const Phase& phase, const Step& step) {
  const auto channels = static_cast<std::size_t>(in_.c);
  std::vector<double> sum(channels);
  std::vector<float> point(static_cast<std::size_t>(out_.c) * channels);  // (out.c, in.c)
  // Weight tap at offset t of a patch: with dir < 0 the last tap reads the lowest input.
  const auto tap_of = [](const Axis& axis, int t) {
    return axis.first_tap + (axis.dir > 0 ? t : axis.taps - 1 - t) * axis.tap_step;
  };
  for (int py = 0; py < part.y.points(); ++py) {
    for (int px = 0; px < part.x.points(); ++px) {
      for (int n = 0; n < out_.c; ++n) {
        std::fill(sum.begin(), sum.end(), 0.0);
        for (int ty = 0; ty < part.y.taps; ++ty) {
          for (int tx = 0; tx < part.x.taps; ++tx) {
            const double factor = kWeightFactors[part.y.taps - 2][py][ty] *
                                  kWeightFactors[part.x.taps - 2][px][tx];
            if (factor == 0.0) continue;
            const int64_t tap = (int64_t{n} * step.kernel_h + tap_of(phase.y, ty)) * step.kernel_w +
                                tap_of(phase.x, tx);
            const float* g = step.weight + tap * in_.c;
            for (std::size_t c = 0; c < channels; ++c) sum[c] += factor * double{g[c]};
          }
        }
        float* to = point.data() + static_cast<std::size_t>(n) * channels;
        for (std::size_t c = 0; c < channels; ++c) to[c] = static_cast<float>(sum[c]);
      }
      for (const Block& block : part.blocks) {
        if (block.row != py) continue;
        const int64_t offset = block.first_channel;
        kernels_.pack({point.data(), in_.c, &offset, out_.c}, {1, block.channels},
                      packed_.get() + block.weights +
                          px * panels_ * kernels_.weight_panel_bytes(block.channels));
      }
    }
  }
}

void Winograd::run(int64_t images, Images in, Images out, Images add, int threads) const {
  static thread_local std::vector<Task> tasks;
  tasks.clear();
  int64_t most_tiles = 0;
  for (const Part& part : parts_) most_tiles = std::max(most_tiles, images * part.tiles());
  int64_t tile_parts = divide_up(most_tiles, kBlockTiles);
  int64_t panel_parts = divide_up(panels_ * kernels_.panel_columns, kBlockColumns);
  // Too few for the threads: lower tasks, and where they are low, narrower ones, which repeat the
  // input's transform.
  const auto parts = static_cast<int64_t>(parts_.size());
  const auto too_few = [&] {
    return threads > 1 && parts * tile_parts * panel_parts < 2 * int64_t{threads};
  };
  while (too_few() && most_tiles > 2 * tile_parts * kernels_.tile_rows) tile_parts *= 2;
  while (too_few() && panels_ >= 4 * panel_parts) panel_parts *= 2;
  // The phases of a block of tiles one after another: they read the same pixels.
  for (int64_t t = 0; t < tile_parts; ++t) {
    for (int64_t p = 0; p < panel_parts; ++p) {
      for (const Part& part : parts_) {
        const int64_t tiles = images * part.tiles();
        tasks.push_back({&part, tiles * t / tile_parts, tiles * (t + 1) / tile_parts,
                         static_cast<int>(panels_ * p / panel_parts),
                         static_cast<int>(panels_ * (p + 1) / panel_parts)});
      }
    }
  }
  const std::vector<Task>& shared = tasks;  // the caller's, not each worker's
  parallel_for(static_cast<int64_t>(shared.size()), threads, [&](int64_t i, int) {
    run_task(shared[static_cast<std::size_t>(i)], in, out, add);
  });
}

int64_t Winograd::columns(const Task& task) const {
  return int64_t{1} * (task.panel_end - task.panel_begin) * kernels_.panel_columns;
}

// One cache line more than the products need: the points of a tile then lie in different sets.
int64_t Winograd::point_stride(const Task& task) const {
  return (task.tile_end - task.tile_begin) * columns(task) + 16;
}

void Winograd::run_task(const Task& task, Images in, Images out, Images add) const {
  static thread_local Scratch pixel_scratch, product_scratch;
  const int points = task.part->y.points() * task.part->x.points();
  auto* pixels =
      pixel_scratch.get<const float*>((task.tile_end - task.tile_begin) * kPatchPixels);
  float* products = product_scratch.get<float>(points * point_stride(task));
  find_pixels(task, in, pixels);
  if (kernels_.begin_task != nullptr) kernels_.begin_task();
  for (const Block& block : task.part->blocks) multiply_block(task, block, pixels, products);
  if (kernels_.end_task != nullptr) kernels_.end_task();
  finish(task, products, out, add);
}

// pixels: (tiles, patch, patch)
void Winograd::find_pixels(const Task& task, Images in, const float** pixels) const {
  const Tiles &y = task.part->y, &x = task.part->x;
  Position position(*task.part, task.tile_begin);
  for (int64_t m = task.tile_begin; m < task.tile_end; ++m, position.next()) {
    const float* base = in.data + position.image * in.image_stride;
    int64_t iy = y.first_output[position.y] + y.low;
    const int64_t ix = x.first_output[position.x] + x.low;
    for (int py = 0; py < y.points(); ++py, iy += y.dilation) {
      const bool inside_y = iy >= 0 && iy < in_.h;
      for (int px = 0; px < x.points(); ++px) {
        const int64_t column = ix + int64_t{px} * x.dilation;
        const bool inside = inside_y && column >= 0 && column < in_.w;
        pixels[px] = inside ? base + (iy * in_.w + column) * in_.pixel_stride : zeros_.data();
      }
      pixels += kWinogradPatch;
    }
    pixels += (kWinogradPatch - y.points()) * kWinogradPatch;
  }
}

// products: (points, tiles, columns), points point_stride apart
void Winograd::multiply_block(const Task& task, const Block& block, const float* const* pixels,
                              float* products) const {
  static thread_local Scratch panel_scratch;
  const int points = task.part->x.points();
  // Panels of few channels lie side by side in the kMaxDepth floats of a row.
  const int beside = kMaxDepth / block.channels;
  const int64_t panel_floats = kernels_.row_panel_bytes(kMaxDepth) / 4;
  float* const memory = panel_scratch.get<float>(kWinogradPatch * panel_floats);
  float* panels[kWinogradPatch];
  for (int p = 0; p < points; ++p) {
    panels[p] = memory + p / beside * panel_floats + p % beside * block.channels;
  }
  const InputTerms terms = kInputTerms[task.part->y.taps - 2][block.row];
  const int64_t panel_bytes = kernels_.weight_panel_bytes(block.channels);
  const int64_t stride = columns(task);
  const int64_t tiles = task.tile_end - task.tile_begin;
  const int64_t row_tiles = divide_up(tiles, kernels_.tile_rows);
  for (int64_t tile = 0; tile < row_tiles; ++tile) {
    const int64_t begin = tiles * tile / row_tiles;
    const auto rows = static_cast<int>(tiles * (tile + 1) / row_tiles - begin);
    kernels_.winograd_input({pixels + begin * kPatchPixels, rows, terms.first, terms.second,
                             terms.sign, task.part->x.taps, block.first_channel, block.channels,
                             panels});
    for (int p = 0; p < points; ++p) {
      float* target[64];
      float* c = products + (block.row * points + p) * point_stride(task) + begin * stride;
      for (int r = 0; r < rows; ++r) target[r] = c + r * stride;
      const char* weights =
          packed_.get() + block.weights + (p * panels_ + task.panel_begin) * panel_bytes;
      kernels_.multiply(rows, block.channels, panels[p], weights,
                        task.panel_end - task.panel_begin, target, block.first_channel > 0);
    }
  }
}

void Winograd::finish(const Task& task, const float* products, Images out, Images add) const {
  static thread_local Scratch sum_scratch;
  const Tiles &y = task.part->y, &x = task.part->x;
  const int64_t stride = columns(task);
  float* sums = sum_scratch.get<float>(4 * stride);
  const int column = task.panel_begin * kernels_.panel_columns;
  EpilogueRow row = {};
  row.bias = bias_ == nullptr ? nullptr : bias_ + column;
  row.scale = epilogue_.scale == nullptr ? nullptr : epilogue_.scale + column;
  row.shift = epilogue_.shift == nullptr ? nullptr : epilogue_.shift + column;
  row.activation = epilogue_.activation;
  row.slope = epilogue_.slope;
  row.columns = std::min(task.panel_end * kernels_.panel_columns, out_.c) - column;
  Position position(*task.part, task.tile_begin);
  for (int64_t m = task.tile_begin; m < task.tile_end; ++m, position.next(), products += stride) {
    kernels_.winograd_output({products, point_stride(task), y.taps, x.taps,
                              static_cast<int>(stride), sums});
    const int first_y = y.first_output[position.y], first_x = x.first_output[position.x];
    for (int p = 0; p < 4; ++p) {
      const int64_t oy = first_y + p / 2 * int64_t{y.dilation};
      const int64_t ox = first_x + p % 2 * int64_t{x.dilation};
      if (oy >= y.out || ox >= x.out) continue;
      const int64_t pixel = (y.out_origin + oy * y.out_step) * out_.w + x.out_origin +
                            ox * x.out_step;
      row.sum = sums + p * stride;
      row.out = out.data + position.image * out.image_stride + pixel * out_.pixel_stride + column;
      row.add = add.data == nullptr ? nullptr
                                    : add.data + position.image * add.image_stride +
                                          pixel * epilogue_.add.pixel_stride + column;
      kernels_.epilogue(row);
    }
  }
}

}  // namespace facegen::cpu
