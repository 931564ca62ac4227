#include "cuda/prepare.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "cuda/hopper_expand.h"
#include "cuda/hopper_gemm.h"
#include "cuda/hopper_norm.h"
#include "cuda/hopper_patch.h"
#include "cuda/hopper_pixels.h"
#include "cuda/hopper_pool.h"
#include "cuda/softmax_gemm.h"

namespace facegen::cuda {
namespace {

constexpr int64_t kAlignment = 16;  // elements: vectors of 8 and tensor maps need as much

int64_t align(int64_t elements) { return (elements + kAlignment - 1) / kAlignment * kAlignment; }

std::vector<View*> views_of(PreparedStep& prepared) {
  Step& step = prepared.step;
  View& out = prepared.squeeze ? prepared.squeeze->out : step.out;
  return {&step.in, &out, &step.epilogue.add, &prepared.copy};
}

bool same(const View& a, const View& b) {
  return a.buffer == b.buffer && a.h == b.h && a.w == b.w && a.c == b.c &&
         a.pixel_stride == b.pixel_stride && a.offset == b.offset;
}

int count_readers(const PreparedProgram& program, int32_t buffer) {
  int readers = 0;
  for (const PreparedStep& prepared : program.steps) {
    readers += prepared.step.in.buffer == buffer;
    readers += prepared.step.epilogue.add.buffer == buffer;
  }
  return readers;
}

BufferKind kind_of(const PreparedProgram& program, const View& view) {
  return program.buffers[static_cast<std::size_t>(view.buffer)].kind;
}

// What the kernel of few input channels reads stays float32.
bool read_by_patches(const PreparedProgram& program, int32_t buffer) {
  return std::any_of(program.steps.begin(), program.steps.end(), [&](const PreparedStep& prepared) {
    return prepared.step.in.buffer == buffer && hopper::patch_suits(prepared.step);
  });
}

// Whether matrix products alone read the buffer.
bool only_gemms_read(const PreparedProgram& program, int32_t buffer) {
  return std::all_of(program.steps.begin(), program.steps.end(), [&](const PreparedStep& prepared) {
    const Step& step = prepared.step;
    return (step.in.buffer != buffer || (step.op == Op::kGemm && !prepared.softmax)) &&
           step.epilogue.add.buffer != buffer;
  });
}

// A softmax that a GEMM of few output channels alone reads becomes a part of it.
void merge_softmax(PreparedProgram& program) {
  auto& steps = program.steps;
  for (std::size_t i = 0; i + 1 < steps.size(); ++i) {
    const Step& softmax = steps[i].step;
    PreparedStep& next = steps[i + 1];
    if (softmax.op != Op::kSoftmax || !softmax_gemm_suits(next.step) ||
        !same(softmax.out, next.step.in) || count_readers(program, softmax.out.buffer) != 1 ||
        kind_of(program, softmax.out) != BufferKind::kArena) {
      continue;
    }
    next.step.in = softmax.in;
    next.softmax = true;
    steps.erase(steps.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

// Whether a view will be stored as the products of the Hopper kernels read it (see choose_layouts).
bool is_operand(const PreparedProgram& program, const View& view) {
  return kind_of(program, view) == BufferKind::kArena && only_gemms_read(program, view.buffer) &&
         !read_by_patches(program, view.buffer);
}

// A softmax that alone reads what a linear layer makes becomes a part of it.
void merge_scores(PreparedProgram& program) {
  auto& steps = program.steps;
  for (std::size_t i = 0; i + 1 < steps.size(); ++i) {
    Step& linear = steps[i].step;
    const Step& softmax = steps[i + 1].step;
    if (!hopper::pixels_softmax_suits(linear, softmax) || !same(linear.out, softmax.in) ||
        !is_operand(program, linear.in) || kind_of(program, linear.out) != BufferKind::kArena ||
        count_readers(program, linear.out.buffer) != 1) {
      continue;
    }
    linear.out = softmax.out;
    steps[i].softmax_follows = true;
    steps.erase(steps.begin() + static_cast<std::ptrdiff_t>(i + 1));
  }
}

// The kernel for a convolution and the max-pool of what it makes.
PoolKernel find_pool_kernel(const PreparedProgram& program, const Step& conv, const Step& pool,
                            bool half) {
  const bool first = kind_of(program, conv.in) == BufferKind::kInput;  // and so float32
  if (first && hopper::stem_suits(conv, pool)) return PoolKernel::kStem;
  if (first && hopper::pool_windows_suit(conv, pool)) return PoolKernel::kWindows;
  const bool operands = first ? hopper::suits(conv) : is_operand(program, conv.in);
  if (operands && hopper::pool_maps_suit(conv, pool, half)) return PoolKernel::kMaps;
  if (operands && hopper::expand_pool_suits(conv, pool, half)) return PoolKernel::kExpand;
  return PoolKernel::kNone;
}

// A max-pool that alone reads what a convolution makes becomes a part of it.
void merge_pools(PreparedProgram& program, bool half) {
  auto& steps = program.steps;
  for (std::size_t i = 0; i + 1 < steps.size(); ++i) {
    const Step& pool = steps[i + 1].step;
    Step& conv = steps[i].step;
    if (pool.op != Op::kMaxPool || !same(conv.out, pool.in) ||
        kind_of(program, conv.out) != BufferKind::kArena ||
        count_readers(program, conv.out.buffer) != 1 ||
        program.buffers[static_cast<std::size_t>(pool.out.buffer)].floats % 8 != 0) {
      continue;
    }
    const PoolKernel kernel = find_pool_kernel(program, conv, pool, half);
    if (kernel == PoolKernel::kNone) continue;
    conv.out = pool.out;
    steps[i].pool = kernel;
    steps.erase(steps.begin() + static_cast<std::ptrdiff_t>(i + 1));
  }
}

// The squeeze that alone reads what a fire module's expands make becomes a part of their step.
void merge_squeezes(PreparedProgram& program, bool half) {
  auto& steps = program.steps;
  for (std::size_t i = 0; i + 1 < steps.size(); ++i) {
    const Step& expand = steps[i].step;
    const Step& squeeze = steps[i + 1].step;
    if (steps[i].pool != PoolKernel::kNone || steps[i + 1].pool != PoolKernel::kNone ||
        !hopper::expand_squeeze_suits(expand, squeeze, half) || !same(expand.out, squeeze.in) ||
        !is_operand(program, expand.in) || kind_of(program, expand.out) != BufferKind::kArena ||
        count_readers(program, expand.out.buffer) != 1 ||
        program.buffers[static_cast<std::size_t>(squeeze.out.buffer)].floats % 8 != 0) {
      continue;
    }
    steps[i].squeeze = squeeze;
    steps.erase(steps.begin() + static_cast<std::ptrdiff_t>(i + 1));
  }
}

// Whether the step's kernel writes its output in two places.
bool has_copy(const PreparedProgram& program, const PreparedStep& producer) {
  const Step& step = producer.step;
  if (producer.pool != PoolKernel::kNone) return false;
  if (hopper::norm_suits(step)) return true;
  return step.op == Op::kGemm && kind_of(program, step.in) == BufferKind::kInput &&
         step.phase_count == 1 && step.out.c % 8 == 0 &&
         step.out.pixel_stride % 8 == 0 && step.out.offset % 8 == 0 && hopper::patch_suits(step);
}

// Steps that only copy, or also apply ReLU to, what another step makes become that step's second
// output, where its kernel has one.
void merge_copies(PreparedProgram& program) {
  auto& steps = program.steps;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Step& copy = steps[i].step;
    const Epilogue& e = copy.epilogue;
    const bool relu = e.activation == Activation::kRelu;
    if (copy.op != Op::kPointwise || (!relu && e.activation != Activation::kNone) || e.scale ||
        e.shift || e.add.buffer >= 0 || kind_of(program, copy.out) != BufferKind::kArena ||
        copy.out.pixel_stride % 8 || copy.out.offset % 8) {
      continue;
    }
    for (std::size_t p = 0; p < i; ++p) {
      PreparedStep& producer = steps[p];
      if (producer.copy.buffer >= 0 || !same(producer.step.out, copy.in)) continue;
      if (!has_copy(program, producer)) continue;
      producer.copy = copy.out;
      producer.copy_relu = relu;
      steps.erase(steps.begin() + static_cast<std::ptrdiff_t>(i--));
      break;
    }
  }
}

// The tap of a convolution that reads the output's own position, or -1.
int centre_tap(const Axis& axis) {
  for (int t = 0; t < axis.taps; ++t) {
    if (axis.base + t * axis.dir == 0) return axis.first_tap + t * axis.tap_step;
  }
  return -1;
}

bool is_plain_conv(const Step& step) {
  const Epilogue& e = step.epilogue;
  return step.op == Op::kGemm && step.phase_count == 1 && step.phases[0].y.step == 1 &&
         step.phases[0].x.step == 1 && !e.scale && !e.shift && e.add.buffer < 0 &&
         step.in.c >= 16 && step.out.c % 64 == 0;
}

// Weights and bias of `one`, a 1x1 convolution, and then of `large`, as one layer's.
void join_channels(const Step& one, const Step& large, Step& joined,
                   std::deque<std::vector<float>>& constants) {
  const auto& [y, x] = large.phases[0];
  const int64_t channels = large.in.c, row = channels * large.kernel_h * large.kernel_w;
  const int64_t centre = (centre_tap(y) * large.kernel_w + centre_tap(x)) * channels;
  std::vector<float>& weight = constants.emplace_back();
  weight.resize(static_cast<std::size_t>(row * (one.out.c + large.out.c)), 0.0f);
  for (int k = 0; k < one.out.c; ++k) {
    std::copy_n(one.weight + k * channels, channels, weight.begin() + k * row + centre);
  }
  std::copy_n(large.weight, large.out.c * row, weight.begin() + one.out.c * row);
  std::vector<float>& bias = constants.emplace_back();
  bias.resize(static_cast<std::size_t>(one.out.c + large.out.c), 0.0f);
  if (one.bias) std::copy_n(one.bias, one.out.c, bias.begin());
  if (large.bias) std::copy_n(large.bias, large.out.c, bias.begin() + one.out.c);
  joined.weight = weight.data();
  joined.bias = bias.data();
}

// A 1x1 convolution and a larger one that read the same map and write side by side, as in a fire
// module, become one: the 1x1 has one tap, the others are zero, and the Hopper kernel skips those.
void merge_siblings(PreparedProgram& program) {
  auto& steps = program.steps;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    for (std::size_t j = i + 1; j < steps.size(); ++j) {
      Step &one = steps[i].step, &large = steps[j].step;
      if (!is_plain_conv(one) || !is_plain_conv(large) || !same(one.in, large.in) ||
          one.kernel_h * one.kernel_w != 1 || centre_tap(one.phases[0].y) < 0 ||
          centre_tap(one.phases[0].x) < 0 || centre_tap(large.phases[0].y) < 0 ||
          centre_tap(large.phases[0].x) < 0 || one.out.buffer != large.out.buffer ||
          one.out.h != large.out.h || one.out.w != large.out.w ||
          one.out.offset + one.out.c != large.out.offset ||
          one.epilogue.activation != large.epilogue.activation ||
          one.epilogue.slope != large.epilogue.slope) {
        continue;
      }
      Step joined = large;
      joined.out = one.out;
      joined.out.c += large.out.c;
      join_channels(one, large, joined, program.constants);
      steps[i].step = joined;
      steps.erase(steps.begin() + static_cast<std::ptrdiff_t>(j));
      break;
    }
  }
}

void find_norms(PreparedProgram& program) {
  for (std::size_t i = 0; i + 1 < program.steps.size(); ++i) {
    PreparedStep& product = program.steps[i];
    const Step& norm = program.steps[i + 1].step;
    product.norm_follows = product.step.op == Op::kGemm && hopper::norm_suits(norm) &&
                           same(product.step.out, norm.in) && norm.in.pixel_stride == norm.in.c &&
                           count_readers(program, norm.in.buffer) == 1 &&
                           kind_of(program, norm.in) == BufferKind::kArena;
  }
}

// Pixels of every whole buffer get room for a multiple of 8 channels: kernels then read and write
// vectors.
void pad_pixels(PreparedProgram& program) {
  for (std::size_t b = 0; b < program.buffers.size(); ++b) {
    std::vector<View*> views;
    for (PreparedStep& prepared : program.steps) {
      for (View* view : views_of(prepared)) {
        if (view->buffer == static_cast<int32_t>(b)) views.push_back(view);
      }
    }
    Buffer& buffer = program.buffers[b];
    if (views.empty() || buffer.kind != BufferKind::kArena) continue;
    const View first = *views[0];
    const bool whole = first.pixel_stride == first.c && first.offset == 0 &&
                       std::all_of(views.begin(), views.end(),
                                   [&](const View* view) { return same(*view, first); });
    if (!whole || first.c % 8 == 0 || first.c < 8) continue;
    for (View* view : views) view->pixel_stride = (first.c + 7) / 8 * 8;
    buffer.floats = int64_t{first.h} * first.w * ((first.c + 7) / 8 * 8);
  }
}

// Inputs arrive as float32. Those that the Hopper kernel could multiply are first copied into a
// buffer of the arena, which gets the format of its operands.
void stage_inputs(PreparedProgram& program) {
  auto& steps = program.steps;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Step& step = steps[i].step;
    if (step.op != Op::kGemm || kind_of(program, step.in) != BufferKind::kInput ||
        hopper::patch_suits(step) || !hopper::suits(step)) {
      continue;
    }
    View staged = step.in;
    staged.buffer = static_cast<int32_t>(program.buffers.size());
    staged.offset = 0;
    staged.pixel_stride = (staged.c + 7) / 8 * 8;  // the copy engine's 16 bytes
    program.buffers.push_back({BufferKind::kArena, 0, staged.h * staged.w * staged.pixel_stride, 0});
    PreparedStep copy;
    copy.step = {};
    copy.step.op = Op::kPointwise;
    copy.step.in = step.in;
    copy.step.out = staged;
    steps[i].step.in = staged;
    steps.insert(steps.begin() + static_cast<std::ptrdiff_t>(i++), copy);
  }
}

// Formats of all buffers. What only GEMMs read is stored as they multiply it.
void choose_layouts(PreparedProgram& program, Precision precision, bool tensor_cores,
                    bool hopper) {
  for (std::size_t b = 0; b < program.buffers.size(); ++b) {
    const Buffer& buffer = program.buffers[b];
    Layout layout = {Format::kFloat32, buffer.floats};
    if (buffer.kind == BufferKind::kArena) {
      layout.image_stride = align(buffer.floats);
      if (hopper && read_by_patches(program, static_cast<int32_t>(b))) {
        layout.format = Format::kFloat32;
      } else if (precision == Precision::kFloat16) {
        layout.format = Format::kHalf;
      } else if (precision == Precision::kFloat32 && tensor_cores &&
                 only_gemms_read(program, static_cast<int32_t>(b))) {
        layout.format = Format::kSplit;
      }
    }
    program.layouts.push_back(layout);
  }
}

// Places of all buffers of the arena, the largest first: each in the smallest sufficient gap
// between those that live at the same time, or behind them.
void plan_arena(PreparedProgram& program) {
  struct Life {
    std::size_t buffer;
    int64_t size;
    int first = -1, last = -1;  // steps
  };
  std::vector<Life> lives;
  for (std::size_t b = 0; b < program.buffers.size(); ++b) {
    if (program.buffers[b].kind != BufferKind::kArena) continue;
    Life life = {b, program.layouts[b].image_stride};
    bool lasting = false;  // what constant steps make is read in every run
    for (std::size_t i = 0; i < program.steps.size(); ++i) {
      for (const View* view : views_of(program.steps[i])) {
        if (view->buffer != static_cast<int32_t>(b)) continue;
        if (life.first < 0) life.first = static_cast<int>(i);
        life.last = static_cast<int>(i);
        lasting |= i < program.constant_steps;
      }
    }
    if (lasting) life.last = static_cast<int>(program.steps.size());
    if (life.first >= 0) lives.push_back(life);
  }
  std::stable_sort(lives.begin(), lives.end(),
                   [](const Life& a, const Life& b) { return a.size > b.size; });
  for (std::size_t i = 0; i < lives.size(); ++i) {
    std::vector<std::pair<int64_t, int64_t>> occupied;
    for (std::size_t j = 0; j < i; ++j) {
      if (lives[i].first > lives[j].last || lives[j].first > lives[i].last) continue;
      const int64_t start = program.buffers[lives[j].buffer].arena_offset;
      occupied.push_back({start, start + lives[j].size});
    }
    std::sort(occupied.begin(), occupied.end());
    int64_t best = -1, best_gap = 0, end = 0;
    for (const auto& [start, stop] : occupied) {
      const int64_t gap = start - end;
      if (gap >= lives[i].size && (best < 0 || gap < best_gap)) best = end, best_gap = gap;
      end = std::max(end, stop);
    }
    int64_t& offset = program.buffers[lives[i].buffer].arena_offset;
    offset = best < 0 ? end : best;
    program.arena_floats = std::max(program.arena_floats, offset + lives[i].size);
  }
}

}  // namespace

PreparedProgram prepare(const Program& program, Precision precision, const std::string& kernels,
                        int major) {
  PreparedProgram prepared;
  for (int i = 0; i < program.step_count; ++i) {
    PreparedStep& step = prepared.steps.emplace_back();
    step.step = program.steps[i];
  }
  prepared.buffers.assign(program.buffers, program.buffers + program.buffer_count);
  replace_norms_of_one_pixel(prepared);
  const bool split_or_half =
      precision == Precision::kFloat32 || precision == Precision::kFloat16;
  if (kernels == "auto") merge_softmax(prepared);
  const bool hopper = kernels == "auto" && split_or_half && major == 9;
  if (hopper) {
    merge_siblings(prepared);
    merge_pools(prepared, precision == Precision::kFloat16);
    merge_scores(prepared);
    merge_squeezes(prepared, precision == Precision::kFloat16);
    pad_pixels(prepared);
    merge_copies(prepared);
    stage_inputs(prepared);
  }
  find_constant_steps(prepared);
  if (hopper) find_norms(prepared);
  choose_layouts(prepared, precision, kernels != "fma", hopper);
  plan_arena(prepared);
  return prepared;
}

}  // namespace facegen::cuda
