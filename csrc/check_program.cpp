#include "check_program.h"

#include <algorithm>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace facegen {
namespace {

void require(bool fits, const std::string& what) {
  if (!fits) throw std::invalid_argument("program: " + what);
}

bool in_range(int64_t value, int64_t first, int64_t last) { return first <= value && value <= last; }

const Buffer& buffer_of(const View& view, const Program& program) {
  return program.buffers[view.buffer];
}

// Floats from a view's first to behind its last, gaps included.
int64_t span(const View& view) {
  return (int64_t{view.h} * view.w - 1) * view.pixel_stride + view.c;
}

// Whether some float belongs to both views.
bool overlap(const View& a, const View& b, const Program& program) {
  const Buffer &of_a = buffer_of(a, program), &of_b = buffer_of(b, program);
  const bool both_in_arena = of_a.kind == BufferKind::kArena && of_b.kind == BufferKind::kArena;
  if (a.buffer != b.buffer && !both_in_arena) return false;
  const int64_t first_a = a.offset + (both_in_arena ? of_a.arena_offset : 0);
  const int64_t first_b = b.offset + (both_in_arena ? of_b.arena_offset : 0);
  if (first_a + span(a) <= first_b || first_b + span(b) <= first_a) return false;
  if (a.pixel_stride != b.pixel_stride) return true;
  // Parts of one concatenation: other channels of the same pixels.
  const int64_t stride = a.pixel_stride;
  const int64_t apart = ((first_b - first_a) % stride + stride) % stride;
  return apart < a.c || apart + b.c > stride;
}

// An axis of a convolution (one phase) or of a transposed one: outputs `out_step` apart.
void check_axis(const Axis& axis, int kernel, int size, bool one_phase) {
  require(in_range(axis.out_step, 1, kMostPositions) &&
              in_range(axis.out_origin, 0, std::min(axis.out_step, size) - 1) &&
              axis.out == (int64_t{size} - axis.out_origin + axis.out_step - 1) / axis.out_step,
          "an axis does not write every out_step-th output from its origin on");
  require(in_range(axis.step, 1, kMostPositions) && in_range(axis.dir, -1, kMostPositions) &&
              axis.dir != 0 && ((one_phase && axis.dir > 0) || axis.step == 1) &&
              (one_phase || axis.dir == -1),
          "an axis has a step or a direction that no convolution has");
  require(in_range(axis.taps, 0, kernel) && in_range(axis.base, -kMostPositions, kMostPositions) &&
              int64_t{axis.out - 1} * axis.step <= kMostPositions &&
              std::max(axis.taps - 1, 0) * int64_t{axis.dir} <= kMostPositions,
          "an axis reads from too far away");
  // Also where the axis has one tap or none: kernels divide by the step.
  require(axis.tap_step >= 1, "an axis whose taps are not apart");
  if (axis.taps == 0) return;
  const int64_t last = axis.first_tap + int64_t{axis.taps - 1} * axis.tap_step;
  require(in_range(axis.first_tap, 0, kernel - 1) && in_range(last, 0, kernel - 1),
          "an axis takes a weight tap outside the kernel");
}

// The phases write each output once: every pair of origins below the steps is there once.
void check_phases(const Step& step) {
  require(step.phase_count >= 1, "a GEMM without phases");
  const View& map = map_of(step);
  require(int64_t{step.phase_count} * map.c <= kMostPositions, "a GEMM of too many columns");
  const Phase& first = step.phases[0];
  std::set<std::pair<int32_t, int32_t>> origins;
  for (int32_t i = 0; i < step.phase_count; ++i) {
    const auto& [y, x] = step.phases[i];
    check_axis(y, step.kernel_h, map.h, step.phase_count == 1);
    check_axis(x, step.kernel_w, map.w, step.phase_count == 1);
    require(y.out_step == first.y.out_step && x.out_step == first.x.out_step,
            "phases of different output steps");
    origins.insert({y.out_origin, x.out_origin});
  }
  const int64_t wanted = int64_t{std::min(first.y.out_step, map.h)} *
                         std::min(first.x.out_step, map.w);
  require(wanted == step.phase_count && static_cast<int64_t>(origins.size()) == wanted,
          "phases that do not write each output once");
}

// Every window holds at least one pixel of the input.
void check_pool(const Step& step) {
  const Window& pool = step.window;
  const auto fits = [](int kernel, int stride, int pad, int in, int out) {
    return in_range(kernel, 1, kMostPositions) && in_range(stride, 1, kMostPositions) &&
           in_range(pad, 0, kernel - 1) && int64_t{out - 1} * stride - pad < in;
  };
  require(fits(pool.kernel_h, pool.stride_h, pool.pad_top, step.in.h, step.out.h) &&
              fits(pool.kernel_w, pool.stride_w, pool.pad_left, step.in.w, step.out.w),
          "a pool with a window that holds no pixel");
}

// Windows may reach outside the input, or lie there altogether.
void check_depthwise(const Step& step) {
  const auto fits = [](int kernel, int stride, int pad, int dilation, int out) {
    return in_range(kernel, 1, kMostPositions) && in_range(stride, 1, kMostPositions) &&
           in_range(pad, 0, kMostPositions) && in_range(dilation, 1, kMostPositions) &&
           int64_t{kernel - 1} * dilation <= kMostPositions &&
           int64_t{out - 1} * stride <= kMostPositions;
  };
  const Window& w = step.window;
  require(fits(w.kernel_h, w.stride_h, w.pad_top, w.dilation_h, step.out.h) &&
              fits(w.kernel_w, w.stride_w, w.pad_left, w.dilation_w, step.out.w),
          "a depthwise convolution with a window of impossible size");
}

void check_axis_taps(const AxisTaps& axis, int in, int out) {
  require(axis.taps >= 1, "a resampling without taps");
  for (int64_t i = 0; i < int64_t{axis.taps} * out; ++i) {
    require(in_range(axis.positions[i], -1, in - 1), "a resampling reads outside its input");
  }
}

void check_op(const Step& step);

void check_epilogue(const Epilogue& e) {
  require((e.activation == Activation::kPrelu) == (e.slopes != nullptr),
          "slopes without a prelu, or a prelu without");
}

// A GEMM, and the step that takes what it makes.
void check_gemm(const Step& step) {
  check_phases(step);
  require(in_range(step.centre_channels, 0, map_of(step).c), "more centre channels than there are");
  if (step.finish == nullptr) return;
  const Step& finish = *step.finish;
  const View &map = finish.in, &out = step.out;
  require(in_range(map.h, 1, kMostPositions) && in_range(map.w, 1, kMostPositions) &&
              in_range(map.c, 1, kMostPositions) && int64_t{map.h} * map.w <= kMostPixels &&
              in_range(map.pixel_stride, map.c, kMostPositions),
          "a map of an impossible shape");
  require(finish.out.buffer == out.buffer && finish.out.offset == out.offset &&
              finish.out.h == out.h && finish.out.w == out.w && finish.out.c == out.c &&
              finish.out.pixel_stride == out.pixel_stride,
          "a finish that writes elsewhere than its step");
  require(finish.finish == nullptr && finish.copy.buffer < 0 && !finish.slices &&
              finish.epilogue.other.buffer < 0 && !finish.softmax_input,
          "a finish that does more than its op");
  require(!finish.log, "a finish that takes logarithms");
  check_op(finish);
  check_epilogue(finish.epilogue);
}

void check_op(const Step& step) {
  const View &in = step.in, &out = step.out;
  const bool same_channels = in.c == out.c;
  const bool same_map = in.h == out.h && in.w == out.w;
  switch (step.op) {
    case Op::kGemm: return check_gemm(step);
    case Op::kMaxPool:
      require(same_channels, "max-pool changes the channels");
      return check_pool(step);
    case Op::kInstanceNorm:
      require(in_range(step.groups, 1, in.c) && in.c % step.groups == 0,
              "groups that do not divide the channels");
      return require(same_channels && same_map, "instance norm changes the shape");
    case Op::kSoftmax: return require(same_channels && same_map, "softmax changes the shape");
    case Op::kResample:
      require(same_channels, "a resampling changes the channels");
      check_axis_taps(step.rows, in.h, out.h);
      return check_axis_taps(step.columns, in.w, out.w);
    case Op::kLayerNorm: return require(same_channels && same_map, "layer norm changes the shape");
    case Op::kLrn:
      require(in_range(step.lrn.size, 1, kMostPositions), "a window of no channel");
      return require(same_channels && same_map, "a response normalisation changes the shape");
    case Op::kShuffle:
      require(in_range(step.groups, 1, in.c) && in.c % step.groups == 0,
              "groups that do not divide the channels");
      return require(same_channels && same_map, "a shuffle changes the shape");
    case Op::kRearrange: {
      const bool grows = out.h > in.h || out.w > in.w;
      const View &large = grows ? out : in, &deep = grows ? in : out;
      const int64_t block = step.block;
      return require(in_range(block, 1, kMostPositions) && large.h == deep.h * block &&
                         large.w == deep.w * block && large.c <= kMostPositions / block &&
                         deep.c == large.c * block * block,
                     "a rearrangement whose blocks do not fit");
    }
    case Op::kPointwise:
      return require(same_channels && same_map, "a pointwise step changes the shape");
    case Op::kFill: return;
    case Op::kArgMax:
      return require(same_map && out.c == 1, "argmax gives one channel of the same map");
    case Op::kGlobalAvgPool:
      return require(same_channels && out.h == 1 && out.w == 1,
                     "global average pool gives one pixel");
    case Op::kDepthwise:
      require(same_channels, "a depthwise convolution changes the channels");
      return check_depthwise(step);
  }
}

}  // namespace

int64_t product(std::initializer_list<int64_t> sizes) {
  int64_t result = 1;
  for (const int64_t size : sizes) {
    if (size == 0) return 0;
    if (result > kMostFloats / size) return -1;
    result *= size;
  }
  return result;
}

void check_buffers(const Program& program) {
  std::vector<int32_t> inputs, outputs;
  require(in_range(program.arena_floats, 0, kMostFloats), "an arena of impossible size");
  for (int32_t i = 0; i < program.buffer_count; ++i) {
    const Buffer& buffer = program.buffers[i];
    require(in_range(buffer.floats, 1, kMostFloats), "a buffer of impossible size");
    if (buffer.kind == BufferKind::kArena) {
      require(in_range(buffer.arena_offset, 0, program.arena_floats - buffer.floats),
              "a buffer lies outside the arena");
    } else {
      (buffer.kind == BufferKind::kInput ? inputs : outputs).push_back(buffer.index);
    }
  }
  for (std::vector<int32_t>* indices : {&inputs, &outputs}) {
    std::sort(indices->begin(), indices->end());
    for (std::size_t i = 0; i < indices->size(); ++i) {
      require((*indices)[i] == static_cast<int32_t>(i),
              "the inputs or the outputs are not numbered from 0 on, each once");
    }
  }
}

void check_view(const View& v, const Program& program) {
  require(in_range(v.buffer, 0, program.buffer_count - 1), "a view names no buffer");
  require(in_range(v.h, 1, kMostPositions) && in_range(v.w, 1, kMostPositions) &&
              in_range(v.c, 1, kMostPositions) && int64_t{v.h} * v.w <= kMostPixels &&
              in_range(v.pixel_stride, v.c, kMostPositions) && v.offset >= 0,
          "a view has an impossible shape");
  const int64_t floats = buffer_of(v, program).floats;
  require(v.offset <= floats && span(v) <= floats - v.offset, "a view lies outside its buffer");
}

void check_step(const Step& step, const Program& program, bool shapes_alone) {
  const View &in = step.in, &out = step.out, &other = step.epilogue.other, &copy = step.copy;
  require(buffer_of(out, program).kind != BufferKind::kInput, "a step writes into an input");
  if (other.buffer >= 0) {
    const View& map = map_of(step);
    const bool one_pixel = other.h == 1 && other.w == 1;
    require(((other.h == map.h && other.w == map.w) || one_pixel) &&
                (other.c == map.c || other.c == 1) &&
                (step.op != Op::kGemm || !is_spread(other, map)),
            "an operand of another shape");
  }
  if (copy.buffer >= 0) {
    require(buffer_of(copy, program).kind != BufferKind::kInput, "a step writes into an input");
    require(copy.h == out.h && copy.w == out.w && copy.c == out.c, "a copy of another shape");
  }
  if (!shapes_alone) {
    const auto is_apart = [&](const View& written) {
      require(in.buffer < 0 || !overlap(written, in, program), "a step writes over what it reads");
      require(other.buffer < 0 || !overlap(written, other, program),
              "a step writes over its other operand");
    };
    is_apart(out);
    if (copy.buffer >= 0) {
      is_apart(copy);
      require(!overlap(copy, out, program), "a step writes its output and its copy in one place");
    }
  }
  check_op(step);
  check_epilogue(step.epilogue);
}

void check_order(const Program& program) {
  require(in_range(program.constant_steps, 0, program.step_count),
          "more constant steps than there are steps");
  for (int32_t i = 0; i < program.step_count; ++i) {
    const Step& step = program.steps[i];
    if (!step.slices) continue;
    const bool product = step.op == Op::kGemm;
    const int32_t other = product ? i + 1 : i - 1;
    require(in_range(other, 0, program.step_count - 1) && program.steps[other].slices &&
                program.steps[other].op == (product ? Op::kInstanceNorm : Op::kGemm) &&
                (i >= program.constant_steps) == (other >= program.constant_steps),
            "slices without a norm that adds them up, or a product that leaves them");
  }
}

}  // namespace facegen
