#include "cpu/indirect_gemm.h"

#include <algorithm>
#include <cstring>

#include "cpu/adjacent_phases.h"
#include "cpu/pad_rows.h"
#include "cpu/pixel_writer.h"
#include "cpu/ranges.h"
#include "divide_up.h"
#include "threads.h"

namespace facegen::cpu {
namespace {

// Rows and columns of a block of C. 16 tiles of 14 rows meet each weight panel while it is in L2,
// which takes the traffic from L3 down to about half a byte a cycle; the block itself (448 KiB)
// stays in L2 too. Blocks of 112 to 896 rows measured the same on AVX-512.
constexpr int64_t kBlockRows = 224;
constexpr int64_t kBlockColumns = 512;

// What a tap outside the input reads: no stretch is deeper.
constexpr int kMostDepth = 512;
alignas(64) const float kZeros[kMostDepth] = {};

// How a product of `rows` x `panels` is cut: into at least as many equal tasks as keep `threads`
// busy, preferring few large ones. Only speed depends on it.
struct Cut {
  int64_t row_parts, panel_parts;
};
Cut cut_tasks(int64_t rows, int64_t panels, int64_t panel_columns, int threads) {
  const int64_t fewest_rows = divide_up(rows, kBlockRows);
  const int64_t fewest_panels = divide_up(panels * panel_columns, kBlockColumns);
  if (fewest_rows * fewest_panels >= 8 * threads || threads == 1) {
    return {fewest_rows, fewest_panels};
  }
  // Few tasks: take the cut whose longest thread has the least to do. A task costs its products
  // plus what it gathers, which is worth about 4 weight panels a row.
  Cut best = {fewest_rows, fewest_panels};
  double least = 1e300;
  const int64_t most = fewest_rows * fewest_panels + 4 * int64_t{threads};
  for (int64_t r = fewest_rows; r <= std::min(rows, most); r += 1 + r / 4) {
    for (int64_t p = fewest_panels; p <= std::min(panels, most / r); p += 1 + p / 4) {
      const double task = static_cast<double>(divide_up(rows, r)) *
                          static_cast<double>(divide_up(panels, p) + 4);
      const double longest = task * static_cast<double>(divide_up(r * p, threads)) *
                             (1.0 + 0.002 * static_cast<double>(r * p));
      if (longest < least) {
        least = longest;
        best = {r, p};
      }
    }
  }
  return best;
}

}  // namespace

// The rows of one task that a block touches, and where each tap of each row is read.
struct IndirectGemm::Rows {
  int32_t* c_row;         // (count): row within the task
  const float** sources;  // (taps, kBlockRows)
};

// Where the panels are cut so that each part has about as many products as the others: phases have
// different numbers of taps.
int IndirectGemm::Group::first_panel(int64_t part, int64_t parts) const {
  int64_t products = 0;
  for (const Bundle& bundle : bundles) products += bundle.panels * bundle.products;
  int64_t before = products * part / parts;
  for (const Bundle& bundle : bundles) {
    const int64_t all = bundle.panels * bundle.products;
    if (before < all) {
      return bundle.first_panel + static_cast<int>((before + bundle.products / 2) / bundle.products);
    }
    before -= all;
  }
  return panels();
}

void IndirectGemm::run(int64_t images, Images in, Images out, Images add, int threads) const {
  static thread_local std::vector<Task> tasks;
  tasks.clear();
  if (pad_left_ + pad_right_ > 0) {
    in = pad_rows(images, in, in_, pad_left_, pad_right_, threads);
  }
  for (const Group& group : groups_) {
    const int64_t rows = images * group.out_h * group.out_w;
    const int64_t panels = group.panels();
    const Cut cut = cut_tasks(rows, panels, kernels_.panel_columns, threads);
    for (int64_t r = 0; r < cut.row_parts; ++r) {
      for (int64_t p = 0; p < cut.panel_parts; ++p) {
        const int first = group.first_panel(p, cut.panel_parts);
        const int last = group.first_panel(p + 1, cut.panel_parts);
        if (first == last) continue;
        tasks.push_back(
            {&group, rows * r / cut.row_parts, rows * (r + 1) / cut.row_parts, first, last});
      }
    }
  }
  const std::vector<Task>& shared = tasks;  // the caller's, not each worker's
  parallel_for(static_cast<int64_t>(shared.size()), threads, [&](int64_t i, int) {
    run_task(shared[static_cast<std::size_t>(i)], in, out, add);
  });
}

int64_t IndirectGemm::c_stride(const Task& task) const {
  return int64_t{1} * (task.panel_end - task.panel_begin) * kernels_.panel_columns;
}

void IndirectGemm::run_task(const Task& task, Images in, Images out, Images add) const {
  static thread_local Scratch c_scratch, row_scratch, source_scratch;
  const int64_t row_count = task.row_end - task.row_begin;
  const int64_t stride = c_stride(task);
  float* c = c_scratch.get<float>(row_count * stride);
  for (const Bundle& bundle : task.group->bundles) {
    const int64_t first = std::max(bundle.first_panel, task.panel_begin);
    const int64_t last = std::min(bundle.panel_end(), task.panel_end);
    if (!bundle.zeroed || first >= last) continue;
    for (int64_t r = 0; r < row_count; ++r) {
      std::memset(c + r * stride + (first - task.panel_begin) * kernels_.panel_columns, 0,
                  static_cast<std::size_t>((last - first) * kernels_.panel_columns) * 4);
    }
  }
  std::size_t most_taps = 1;
  for (const Block& block : task.group->blocks) most_taps = std::max(most_taps, block.taps.size());
  Rows rows{row_scratch.get<int32_t>(row_count),
            source_scratch.get<const float*>(static_cast<int64_t>(most_taps) * kBlockRows)};
  if (kernels_.begin_task != nullptr) kernels_.begin_task();
  for (const Block& block : task.group->blocks) {
    const int count = find_rows(task, block, in, rows);
    multiply_block(task, block, rows, count, c);
  }
  if (kernels_.end_task != nullptr) kernels_.end_task();
  finish(task, c, out, add);
}

int IndirectGemm::find_rows(const Task& task, const Block& block, Images in, Rows& rows) const {
  const Group& group = *task.group;
  const int64_t map = int64_t{1} * group.out_h * group.out_w;
  int count = 0;
  // One output row (or the part of it that the task has) at a time: along it, each tap is inside
  // the input for one run of ox.
  for (int64_t m = task.row_begin; m < task.row_end;) {
    const int64_t image = m / map;
    const int oy = static_cast<int>(m % map / group.out_w);
    const int ox = static_cast<int>(m % group.out_w);
    const int ox_end =
        static_cast<int>(std::min<int64_t>(group.out_w, ox + (task.row_end - m)));
    const float* base = in.data + image * in.image_stride + block.first_channel;
    int first = ox_end, last = ox;  // ox for which any tap is inside
    for (const Tap tap : block.taps) {
      const int iy = oy * group.step_y + tap.dy;
      if (iy < 0 || iy >= in_.h) continue;
      const Range xs = valid_outputs(tap.dx, group.step_x, in_.w, group.out_w);
      first = std::min(first, std::max(xs.first, ox));
      last = std::max(last, std::min(xs.last, ox_end));
    }
    if (first < last) {
      const int begin = count;
      for (int x = first; x < last; ++x) {
        rows.c_row[count++] = static_cast<int32_t>(m - task.row_begin + x - ox);
      }
      const float** source = rows.sources + begin;
      for (const Tap tap : block.taps) {
        const int iy = oy * group.step_y + tap.dy;
        const bool inside_y = iy >= 0 && iy < in_.h;
        for (int x = first; x < last; ++x) {
          const int ix = x * group.step_x + tap.dx;
          const bool inside = inside_y && ix >= 0 && ix < in_.w;
          source[x - first] =
              inside ? base + (int64_t{iy} * in_.w + ix) * in_.pixel_stride : kZeros;
        }
        source += kBlockRows;
      }
    }
    m += ox_end - ox;
  }
  return count;
}

void IndirectGemm::multiply_block(const Task& task, const Block& block, const Rows& rows, int count,
                          float* c) const {
  static thread_local Scratch panel_scratch;
  const int depth = block.stretch.depth();
  char* panel = panel_scratch.get<char>(kernels_.row_panel_bytes(depth));
  const int64_t stride = c_stride(task);
  const int64_t panel_bytes = kernels_.weight_panel_bytes(depth);
  const int64_t tiles = divide_up(count, kernels_.tile_rows);
  for (int64_t tile = 0; tile < tiles; ++tile) {
    const auto begin = static_cast<int>(count * tile / tiles);
    const auto end = static_cast<int>(count * (tile + 1) / tiles);
    kernels_.gather(rows.sources + begin, kBlockRows, end - begin, block.stretch,
                    block.channel_scale.data(), panel);
    for (const Use& use : block.uses) {
      const Bundle& bundle = task.group->bundles[static_cast<std::size_t>(use.bundle)];
      const int first = std::max(bundle.first_panel, task.panel_begin);
      const int last = std::min(bundle.panel_end(), task.panel_end);
      if (first >= last) continue;
      float* target[64];
      const int64_t column = int64_t{first - task.panel_begin} * kernels_.panel_columns;
      for (int r = begin; r < end; ++r) target[r - begin] = c + rows.c_row[r] * stride + column;
      kernels_.multiply(end - begin, depth, panel,
                        packed_.get() + use.weights + (first - bundle.first_panel) * panel_bytes,
                        last - first, target, !use.overwrite);
    }
  }
}

void IndirectGemm::finish(const Task& task, const float* c, Images out, Images add) const {
  const int task_first = task.panel_begin * kernels_.panel_columns;
  const int task_last = task.panel_end * kernels_.panel_columns;
  for (const Bundle& bundle : task.group->bundles) {
    int column = bundle.first_panel * kernels_.panel_columns;  // of the phase's channel 0
    for (std::size_t p = 0; p < bundle.phases.size();) {
      const int phases = adjacent_phases(bundle.phases, p, out_, bias_, epilogue_);
      const int columns = phases * out_.c;
      const int first = std::max(column, task_first), last = std::min(column + columns, task_last);
      if (first < last) {
        finish_phase(task, bundle.phases[p], first - column, last - column, c + first - task_first,
                     out, add);
      }
      column += columns;
      p += static_cast<std::size_t>(phases);
    }
  }
}

// Columns first .. last - 1 of one phase, or of adjacent ones from it on; `sums` are theirs.
void IndirectGemm::finish_phase(const Task& task, const Phase& phase, int first, int last,
                        const float* sums, Images out, Images add) const {
  const Group& group = *task.group;
  const auto& [y, x] = phase;
  const int64_t map = int64_t{1} * group.out_h * group.out_w;
  const int64_t stride = c_stride(task);
  EpilogueRow row = columns_of_pixel(epilogue_, bias_, first, last - first);
  row.sum = sums;
  int64_t image = task.row_begin / map;
  int64_t oy = task.row_begin % map / group.out_w, ox = task.row_begin % group.out_w;
  for (int64_t m = task.row_begin; m < task.row_end; ++m, row.sum += stride) {
    const int64_t pixel = (y.out_origin + oy * y.out_step) * out_.w + x.out_origin + ox * x.out_step;
    row.out = out.data + image * out.image_stride + pixel * out_.pixel_stride + first;
    row.other = add.data == nullptr ? nullptr
                                    : add.data + image * add.image_stride +
                                          pixel * epilogue_.other.pixel_stride + first;
    kernels_.epilogue(row);
    // The next row; divisions would take longer than some rows' arithmetic.
    if (++ox < group.out_w) continue;
    ox = 0;
    if (++oy < group.out_h) continue;
    oy = 0;
    ++image;
  }
}

Costs IndirectGemm::costs() const {
  Costs costs;
  if (pad_left_ + pad_right_ > 0) costs.scratch_bytes = 4 * in_.h * in_.w * in_.pixel_stride;
  costs.scratch_bytes += kernels_.row_panel_bytes(kernels_.most_depth);
  int64_t block = 0;  // of the largest group
  for (const Group& group : groups_) {
    const int64_t rows = int64_t{group.out_h} * group.out_w;
    const int64_t columns = int64_t{group.panels()} * kernels_.panel_columns;
    block = std::max(block, 4 * std::min(rows, kBlockRows) * std::min(columns, kBlockColumns));
  }
  costs.scratch_bytes += block;
  costs.weight_bytes = packed_bytes_;
  return costs;
}

}  // namespace facegen::cpu
