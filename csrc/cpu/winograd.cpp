#include "cpu/winograd.h"

#include <algorithm>

#include "cpu/adjacent_phases.h"
#include "cpu/pixel_writer.h"
#include "divide_up.h"
#include "threads.h"
#include "winograd_transform.h"

namespace facegen::cpu {
namespace {

// Row tiles that are transformed at a time, and meet each weight while it is in L1.
constexpr int kGroupTiles = 4;

constexpr int kPatchPixels = kWinogradPoints * kWinogradPoints;

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

void Winograd::run(int64_t images, Images in, Images out, Images add, int threads) const {
  static thread_local std::vector<Task> tasks;
  tasks.clear();
  const auto [tile_parts, panel_parts] = cut_tasks(images, threads);
  // A thread's own tiles, as close as can be to those of its other layers; of these, all with some
  // weights before the next: there are more weights than L2 holds.
  const int64_t chunks = std::min<int64_t>(tile_parts, threads);
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    const int64_t first = tile_parts * chunk / chunks, last = tile_parts * (chunk + 1) / chunks;
    for (int64_t p = 0; p < panel_parts; ++p) {
      for (const Part& part : parts_) {
        const int64_t tiles = images * part.tiles();
        for (int64_t t = first; t < last; ++t) {
          const int64_t begin = tiles * t / tile_parts, end = tiles * (t + 1) / tile_parts;
          if (begin == end) continue;  // a part of fewer tiles than the largest
          tasks.push_back({&part, begin, end, static_cast<int>(panels_ * p / panel_parts),
                           static_cast<int>(panels_ * (p + 1) / panel_parts)});
        }
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
  const Part& part = *task.part;
  auto* pixels =
      pixel_scratch.get<const float*>((task.tile_end - task.tile_begin) * kPatchPixels);
  float* products =
      product_scratch.get<float>(points(part.y) * points(part.x) * point_stride(task));
  if (kernels_.begin_task != nullptr) kernels_.begin_task();
  const Block* found = nullptr;  // whose grid `pixels` are of
  for (const Block& block : part.blocks) {
    const bool same =
        found != nullptr && found->y.low == block.y.low && found->x.low == block.x.low;
    if (!same) find_pixels(task, block, in, pixels);
    found = &block;
    const bool last = &block == &part.blocks.back();
    multiply_block(task, block, last ? block : *(&block + 1), pixels, products);
  }
  if (kernels_.end_task != nullptr) kernels_.end_task();
  finish(task, products, out, add);
}

// The patches of a block's grid; pixels: (tiles, kWinogradPoints, kWinogradPoints)
void Winograd::find_pixels(const Task& task, const Block& block, Images in,
                           const float** pixels) const {
  const Tiles &y = task.part->y, &x = task.part->x;
  Position position(*task.part, task.tile_begin);
  for (int64_t m = task.tile_begin; m < task.tile_end; ++m, position.next()) {
    const float* base = in.data + position.image * in.image_stride;
    int64_t iy = int64_t{y.first_output[position.y]} * y.step + block.y.low;
    const int64_t ix = int64_t{x.first_output[position.x]} * x.step + block.x.low;
    for (int py = 0; py < points(y); ++py, iy += y.spacing()) {
      const bool inside_y = iy >= 0 && iy < in_.h;
      for (int px = 0; px < points(x); ++px) {
        const int64_t column = ix + int64_t{px} * x.spacing();
        const bool inside = inside_y && column >= 0 && column < in_.w;
        pixels[px] = inside ? base + (iy * in_.w + column) * in_.pixel_stride : zeros_.data();
      }
      pixels += kWinogradPoints;
    }
    pixels += (kWinogradPoints - points(y)) * kWinogradPoints;
  }
}

// products: (points, tiles, columns), points point_stride apart
void Winograd::multiply_block(const Task& task, const Block& block, const Block& next,
                              const float* const* pixels, float* products) const {
  static thread_local Scratch panel_scratch;
  const int64_t tiles = task.tile_end - task.tile_begin;
  const int64_t groups = divide_up(tiles, kGroupTiles * kernels_.tile_rows);
  // Panels of few channels lie side by side in the kMaxDepth floats of a row.
  const int beside = kMaxDepth / block.channels;
  const int64_t panel_floats = divide_up(tiles, groups) * kMaxDepth;
  float* const memory = panel_scratch.get<float>(kWinogradPoints * panel_floats);
  float* panels[kWinogradPoints];
  for (int p = 0; p < block.points; ++p) {
    panels[p] = memory + p / beside * panel_floats + p % beside * block.channels;
  }
  const int row_points = points(task.part->x);
  const WinogradTransform& along_y = kWinogradTransforms[outputs_][task.part->y.taps];
  WinogradInput input = {};
  for (int i = 0; i < along_y.points; ++i) {
    const double factor = along_y.input[block.row][i];
    if (factor == 0.0) continue;
    input.term_row[input.terms] = i;
    input.term_factor[input.terms++] = static_cast<float>(factor);
  }
  input.points = row_points;
  input.used_points = block.points;
  input.first_channel = block.first_channel;
  input.channels = block.channels;
  input.panels = panels;
  const int64_t stride = columns(task);
  for (int64_t group = 0; group < groups; ++group) {
    const int64_t begin = tiles * group / groups;
    input.rows = static_cast<int>(tiles * (group + 1) / groups - begin);
    input.pixels = pixels + begin * kPatchPixels;
    kernels_.winograd_input(input);
    const Block& after = group + 1 < groups ? block : next;
    for (int p = 0; p < block.points; ++p) {
      const bool last = p + 1 == block.points;
      float* c = products + (block.row * row_points + p) * point_stride(task) + begin * stride;
      kernels_.multiply_rows({input.rows, block.channels, panels[p], weights(task, block, p),
                              task.panel_end - task.panel_begin, c, stride, block.accumulate,
                              last ? weights(task, after, 0) : weights(task, block, p + 1)});
    }
  }
}

// The packed weights of a point of a block's row, for a task's columns.
const char* Winograd::weights(const Task& task, const Block& block, int point) const {
  return packed_.get() + block.weights +
         (point * panels_ + task.panel_begin) * kernels_.weight_panel_bytes(block.channels);
}

// What a task writes of adjacent phases.
struct Winograd::Run {
  const Phase* phase;  // the first of them
  int64_t channel;     // of the first column, from the phase's channel 0
  int64_t sum;         // the same column among the task's
  EpilogueRow row;     // all but the pixel
};

std::vector<Winograd::Run> Winograd::runs(const Task& task) const {
  const Part& part = *task.part;
  const int64_t task_first = int64_t{1} * task.panel_begin * kernels_.panel_columns;
  const int64_t task_last = int64_t{1} * task.panel_end * kernels_.panel_columns;
  std::vector<Run> found;
  int64_t column = 0;  // of the phase's channel 0
  for (std::size_t p = 0; p < part.phases.size();) {
    const int64_t phases = adjacent_phases(part.phases, p, out_, bias_, epilogue_);
    const int64_t first = std::max(column, task_first);
    const int64_t last = std::min(column + phases * out_.c, task_last);
    if (first < last) {
      const auto channel = static_cast<int>(first - column);
      found.push_back({&part.phases[p], channel, first - task_first,
                       columns_of_pixel(epilogue_, bias_, channel, static_cast<int>(last - first))});
    }
    column += phases * out_.c;
    p += static_cast<std::size_t>(phases);
  }
  return found;
}

void Winograd::finish(const Task& task, const float* products, Images out, Images add) const {
  static thread_local Scratch sum_scratch;
  const Tiles &y = task.part->y, &x = task.part->x;
  const int64_t stride = columns(task);
  float* sums = sum_scratch.get<float>(outputs_ * outputs_ * stride);
  const std::vector<Run> found = runs(task);
  Position position(*task.part, task.tile_begin);
  for (int64_t m = task.tile_begin; m < task.tile_end; ++m, position.next(), products += stride) {
    kernels_.winograd_output({products, point_stride(task), outputs_, y.taps, x.taps,
                              static_cast<int>(stride), sums});
    const int first_y = y.first_output[position.y], first_x = x.first_output[position.x];
    for (const Run& run : found) {
      const auto& [phase_y, phase_x] = *run.phase;
      EpilogueRow row = run.row;
      for (int p = 0; p < outputs_ * outputs_; ++p) {
        const int64_t oy = first_y + p / outputs_ * int64_t{y.dilation};
        const int64_t ox = first_x + p % outputs_ * int64_t{x.dilation};
        if (oy >= phase_y.out || ox >= phase_x.out) continue;
        const int64_t px = phase_x.out_origin + ox * phase_x.out_step;
        const int64_t pixel = (phase_y.out_origin + oy * phase_y.out_step) * out_.w + px;
        row.sum = sums + p * stride + run.sum;
        row.out = out.data + position.image * out.image_stride + pixel * out_.pixel_stride +
                  run.channel;
        if (add.data != nullptr) {
          row.other = add.data + position.image * add.image_stride +
                    pixel * epilogue_.other.pixel_stride + run.channel;
        }
        // At the right end there may be outputs of the first of the phases alone.
        row.columns = static_cast<int>(
            std::min<int64_t>(run.row.columns, (out_.w - px) * out_.c - run.channel));
        if (row.columns > 0) kernels_.epilogue(row);
      }
    }
  }
}

Costs Winograd::costs() const {
  Costs costs;
  costs.weight_bytes = packed_bytes_;
  const Cut cut = cut_tasks(1, 1);
  for (const Part& part : parts_) {
    const Task task = {&part, 0, divide_up(part.tiles(), cut.tile_parts), 0,
                       static_cast<int>(divide_up(panels_, cut.panel_parts))};
    const int64_t pixels = task.tile_end * kPatchPixels * int64_t{sizeof(float*)};
    const int64_t products = 4 * points(part.y) * points(part.x) * point_stride(task);
    const int64_t panels = 4 * kWinogradPoints * kMaxDepth * std::min<int64_t>(
        task.tile_end, kGroupTiles * kernels_.tile_rows);
    costs.scratch_bytes = std::max(costs.scratch_bytes, pixels + products + panels);
    for (const Block& block : part.blocks) {
      costs.multiplications += static_cast<double>(part.tiles()) * block.points * block.channels *
                               static_cast<double>(part.phases.size()) * out_.c;
    }
  }
  return costs;
}

}  // namespace facegen::cpu
