#include "cpu/gemm.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <tuple>
#include <utility>

#include "threads.h"

namespace facegen::cpu {
namespace {

// Of a C block. 16 tiles of 14 rows meet each weight panel while it is in L2, which takes the
// traffic from L3 down to about half a byte a cycle; the block itself (448 KiB) stays in L2 too.
// Blocks of 112 to 896 rows measured the same on AVX-512.
constexpr int64_t kBlockRows = 224;
constexpr int64_t kBlockColumns = 512;

alignas(64) const float kZeros[kMaxDepth] = {};

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Outputs o in [first, last) read input o * step + offset inside [0, size).
struct Range {
  int first, last;
};
Range valid_outputs(int offset, int step, int size, int out) {
  const int first = offset >= 0 ? 0 : static_cast<int>(divide_up(-offset, step));
  const int past = size - offset;
  const int last = past <= 0 ? 0 : static_cast<int>(divide_up(past, step));
  return {std::min(first, out), std::max(std::min(last, out), std::min(first, out))};
}

bool covers_all(Range range, int out) { return range.first == 0 && range.last == out; }

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
struct Gemm::Rows {
  int32_t* c_row;         // (count): row within the task
  const float** sources;  // (taps, kBlockRows)
};

Gemm::Gemm(const Step& step, const Kernels& kernels)
    : kernels_(kernels),
      in_(step.in),
      out_(step.out),
      epilogue_(step.epilogue),
      bias_(step.bias),
      kernel_h_(step.kernel_h),
      kernel_w_(step.kernel_w),
      phase_panels_(static_cast<int>(divide_up(step.out.c, kernels.panel_columns))) {
  for (int i = 0; i < step.phase_count; ++i) {
    const Phase& phase = step.phases[i];
    if (phase.y.out <= 0 || phase.x.out <= 0) continue;
    const auto same = std::find_if(groups_.begin(), groups_.end(), [&](const Group& g) {
      return g.out_h == phase.y.out && g.out_w == phase.x.out && g.step_y == phase.y.step &&
             g.step_x == phase.x.step;
    });
    if (same == groups_.end()) {
      groups_.push_back({phase.y.out, phase.x.out, phase.y.step, phase.x.step, {phase}, {}, {}});
    } else {
      same->phases.push_back(phase);
    }
  }
  // First lay the blocks out (sizes only), then allocate once and pack.
  for (Group& group : groups_) add_blocks(group, nullptr);
  packed_ = allocate_aligned<char>(packed_bytes_);
  packed_bytes_ = 0;
  for (Group& group : groups_) {
    group.blocks.clear();
    add_blocks(group, step.weight);
  }
}

// Cuts a group's reduction into blocks, in an order that depends on the layer alone: it is the
// order of summation. With a null weight only counts the bytes.
void Gemm::add_blocks(Group& group, const float* weight) {
  // An input position relative to the output's, the phases that read it, and with which weights.
  struct Read {
    bool partial;  // outside the input for some output
    std::vector<int> phases;
    Tap at;
    std::vector<int64_t> weight_taps;
  };
  std::map<std::pair<int, int>, Read> reads_at;
  for (int p = 0; p < static_cast<int>(group.phases.size()); ++p) {
    const auto& [y, x] = group.phases[static_cast<std::size_t>(p)];
    for (int ty = 0; ty < y.taps; ++ty) {
      for (int tx = 0; tx < x.taps; ++tx) {
        const int dy = y.base + ty * y.dir, dx = x.base + tx * x.dir;
        const Range ys = valid_outputs(dy, y.step, in_.h, y.out);
        const Range xs = valid_outputs(dx, x.step, in_.w, x.out);
        if (ys.first >= ys.last || xs.first >= xs.last) continue;  // never inside the input
        Read& read = reads_at[{dy, dx}];
        read.partial = !(covers_all(ys, y.out) && covers_all(xs, x.out));
        read.at = {dy, dx};
        read.phases.push_back(p);
        read.weight_taps.push_back(int64_t{1} * (y.first_tap + ty * y.tap_step) * kernel_w_ +
                                   x.first_tap + tx * x.tap_step);
      }
    }
  }
  // Positions that are inside for every output go first: they can overwrite C, which then needs no
  // zeroing. Those with the same readers stand together, so that they can share a block.
  std::vector<Read> reads;
  for (auto& [at, read] : reads_at) reads.push_back(std::move(read));
  std::stable_sort(reads.begin(), reads.end(), [](const Read& a, const Read& b) {
    return std::tie(a.partial, a.phases) < std::tie(b.partial, b.phases);
  });

  group.zeroed.assign(group.phases.size(), true);
  std::vector<bool> started(group.phases.size(), false);
  const int channel_parts = static_cast<int>(divide_up(in_.c, kMaxDepth));
  const int channels = static_cast<int>(divide_up(in_.c, channel_parts));
  const int most_taps = std::max(1, kMaxDepth / channels);
  for (auto it = reads.begin(); it != reads.end();) {
    auto end = it;
    while (end != reads.end() && end - it < most_taps && end->phases == it->phases) ++end;
    for (int first = 0; first < in_.c; first += channels) {
      Block block{{static_cast<int>(end - it), std::min(channels, in_.c - first)}, first, {}, {}};
      for (auto read = it; read != end; ++read) block.taps.push_back(read->at);
      for (std::size_t r = 0; r < it->phases.size(); ++r) {
        const auto phase = static_cast<std::size_t>(it->phases[r]);
        const bool overwrite = !started[phase] && !it->partial;
        if (overwrite) group.zeroed[phase] = false;
        started[phase] = true;
        block.uses.push_back({it->phases[r], packed_bytes_, overwrite});
        if (weight != nullptr) {
          std::vector<int64_t> tap_offset;
          for (auto read = it; read != end; ++read) {
            tap_offset.push_back(read->weight_taps[r] * in_.c + first);
          }
          kernels_.pack({weight, int64_t{1} * kernel_h_ * kernel_w_ * in_.c, tap_offset.data(),
                         out_.c},
                        block.stretch, packed_.get() + packed_bytes_);
        }
        packed_bytes_ += kernels_.weight_panel_bytes(block.stretch.depth()) * phase_panels_;
      }
      group.blocks.push_back(std::move(block));
    }
    it = end;
  }
}

void Gemm::run(int64_t images, Images in, Images out, Images add, int threads) const {
  static thread_local std::vector<Task> tasks;
  tasks.clear();
  for (const Group& group : groups_) {
    const int64_t rows = images * group.out_h * group.out_w;
    const int64_t panels = int64_t{phase_panels_} * static_cast<int64_t>(group.phases.size());
    const Cut cut = cut_tasks(rows, panels, kernels_.panel_columns, threads);
    for (int64_t r = 0; r < cut.row_parts; ++r) {
      for (int64_t p = 0; p < cut.panel_parts; ++p) {
        tasks.push_back({&group, rows * r / cut.row_parts, rows * (r + 1) / cut.row_parts,
                         static_cast<int>(panels * p / cut.panel_parts),
                         static_cast<int>(panels * (p + 1) / cut.panel_parts)});
      }
    }
  }
  const std::vector<Task>& shared = tasks;  // the caller's, not each worker's
  parallel_for(static_cast<int64_t>(shared.size()), threads, [&](int64_t i, int) {
    run_task(shared[static_cast<std::size_t>(i)], in, out, add);
  });
}

int64_t Gemm::c_stride(const Task& task) const {
  return int64_t{1} * (task.panel_end - task.panel_begin) * kernels_.panel_columns;
}

void Gemm::run_task(const Task& task, Images in, Images out, Images add) const {
  static thread_local Scratch c_scratch, row_scratch, source_scratch;
  const int64_t row_count = task.row_end - task.row_begin;
  const int64_t stride = c_stride(task);
  float* c = c_scratch.get<float>(row_count * stride);
  for (std::size_t p = 0; p < task.group->phases.size(); ++p) {
    if (!task.group->zeroed[p]) continue;
    const int64_t first = std::max<int64_t>(int64_t(p) * phase_panels_, task.panel_begin);
    const int64_t last = std::min<int64_t>(int64_t(p + 1) * phase_panels_, task.panel_end);
    if (first >= last) continue;
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

int Gemm::find_rows(const Task& task, const Block& block, Images in, Rows& rows) const {
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

void Gemm::multiply_block(const Task& task, const Block& block, const Rows& rows, int count,
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
    kernels_.gather(rows.sources + begin, kBlockRows, end - begin, block.stretch, panel);
    for (const Use& use : block.uses) {
      const int phase_first = use.phase * phase_panels_;
      const int first = std::max(phase_first, task.panel_begin);
      const int last = std::min(phase_first + phase_panels_, task.panel_end);
      if (first >= last) continue;
      float* target[64];
      const int64_t column = int64_t{first - task.panel_begin} * kernels_.panel_columns;
      for (int r = begin; r < end; ++r) target[r - begin] = c + rows.c_row[r] * stride + column;
      kernels_.multiply(end - begin, depth, panel,
                        packed_.get() + use.weights + (first - phase_first) * panel_bytes,
                        last - first, target, !use.overwrite);
    }
  }
}

void Gemm::finish(const Task& task, const float* c, Images out, Images add) const {
  const Group& group = *task.group;
  const int64_t map = int64_t{1} * group.out_h * group.out_w;
  const int64_t stride = c_stride(task);
  for (int p = 0; p < static_cast<int>(group.phases.size()); ++p) {
    const int first = std::max(p * phase_panels_, task.panel_begin) - p * phase_panels_;
    const int last = std::min((p + 1) * phase_panels_, task.panel_end) - p * phase_panels_;
    if (first >= last) continue;
    const auto& [y, x] = group.phases[static_cast<std::size_t>(p)];
    const int column = first * kernels_.panel_columns;
    EpilogueRow row = {};
    row.bias = bias_ == nullptr ? nullptr : bias_ + column;
    row.scale = epilogue_.scale == nullptr ? nullptr : epilogue_.scale + column;
    row.shift = epilogue_.shift == nullptr ? nullptr : epilogue_.shift + column;
    row.activation = epilogue_.activation;
    row.slope = epilogue_.slope;
    row.columns = std::min(last * kernels_.panel_columns, out_.c) - column;
    row.sum = c + int64_t{p * phase_panels_ + first - task.panel_begin} * kernels_.panel_columns;
    for (int64_t m = task.row_begin; m < task.row_end; ++m, row.sum += stride) {
      const int64_t image = m / map;
      const int64_t oy = y.out_origin + m % map / group.out_w * y.out_step;
      const int64_t ox = x.out_origin + m % group.out_w * x.out_step;
      const int64_t pixel = oy * out_.w + ox;
      row.out = out.data + image * out.image_stride + pixel * out_.pixel_stride + column;
      row.add = add.data == nullptr ? nullptr
                                    : add.data + image * add.image_stride +
                                          pixel * epilogue_.add.pixel_stride + column;
      kernels_.epilogue(row);
    }
  }
}

}  // namespace facegen::cpu
