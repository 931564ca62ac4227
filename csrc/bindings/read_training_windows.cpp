#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "training_reader.h"

namespace facegen {
Axis TrainingReader::read_checked_axis(const py::object& object, int kernel, int out) const {
  const Axis a = read_axis(object);
  require(in_range(a.out_step, 1, kMostPositions) && in_range(a.out_origin, 0, a.out_step - 1) &&
              in_range(a.out, 0, kMostPositions) &&
              a.out_origin + (int64_t{a.out} - 1) * a.out_step < out,
          "an axis writes outside its map");
  require(in_range(a.step, 1, kMostPositions) && a.dir != 0 &&
              in_range(a.dir, -kMostPositions, kMostPositions) && in_range(a.taps, 0, kernel) &&
              in_range(a.base, -kMostPositions, kMostPositions) &&
              in_range((int64_t{a.out} - 1) * a.step, -kMostPositions, kMostPositions) &&
              in_range(a.taps * int64_t{a.dir}, -kMostPositions, kMostPositions),
          "an axis reads from too far away");
  require(a.taps == 0 || (in_range(a.first_tap, 0, kernel - 1) && in_range(a.tap_step, 1, kMostPositions) &&
                          a.first_tap + (int64_t{a.taps} - 1) * a.tap_step < kernel),
          "an axis takes a weight tap outside the kernel");
  return a;
}

void TrainingReader::read_phases(const py::object& object, TrainingStep& s, const TrainingValue& map) const {
  std::tie(s.kernel_h, s.kernel_w) = field<std::pair<int32_t, int32_t>>(object, "kernel_size");
  require(in_range(s.kernel_h, 1, kMostPositions) && in_range(s.kernel_w, 1, kMostPositions),
          s.name + ": a kernel without taps");
  for (const auto item : object.attr("phases")) {
    const auto phase = py::reinterpret_borrow<py::object>(item);
    s.phases.push_back({read_checked_axis(phase.attr("y"), s.kernel_h, map.h),
                        read_checked_axis(phase.attr("x"), s.kernel_w, map.w)});
  }
  require(!s.phases.empty() && static_cast<int64_t>(s.phases.size()) * map.c <= kMostPositions,
          s.name + ": no phases, or too many columns");
}

// Returns the number of all the layer's groups.
int64_t TrainingReader::read_part(const py::object& object, TrainingStep& s, int64_t ins,
                                  int64_t outs) const {
  GroupPart& p = s.part;
  p = {field<int32_t>(object, "groups"), field<int32_t>(object, "first_in"),
       field<int32_t>(object, "in_channels"), field<int32_t>(object, "first_out"),
       field<int32_t>(object, "out_channels")};
  require(p.groups >= 1 && p.in_channels >= 1 && p.out_channels >= 1 &&
              p.in_channels % p.groups == 0 && p.out_channels % p.groups == 0 &&
              in_range(p.first_in, 0, ins - p.in_channels) &&
              in_range(p.first_out, 0, outs - p.out_channels),
          s.name + ": a part that is not of its layer");
  const int32_t in_group = p.in_channels / p.groups;
  require(ins % in_group == 0 && outs % (ins / in_group) == 0 &&
              outs / (ins / in_group) == p.out_channels / p.groups,
          s.name + ": groups that do not divide their layer");
  return ins / in_group;
}

void TrainingReader::read_window(const py::object& object, Window& p) const {
  using Two = std::pair<int32_t, int32_t>;
  std::tie(p.kernel_h, p.kernel_w) = field<Two>(object, "kernel_size");
  std::tie(p.stride_h, p.stride_w) = field<Two>(object, "stride");
  std::tie(p.pad_top, p.pad_left) = field<Two>(object, "padding");
}

void TrainingReader::read_depthwise(const py::object& object, TrainingStep& s) const {
  Window& p = s.window;
  read_window(object, p);
  std::tie(p.dilation_h, p.dilation_w) = field<std::pair<int32_t, int32_t>>(object, "dilation");
  const TrainingValue& x = at(s.op == TrainingOp::kDepthwiseGradient ? s.dx : s.x);
  const TrainingValue& y = at(s.op == TrainingOp::kDepthwise ? s.y : s.dy);
  const auto fits = [](int kernel, int stride, int dilation, int pad, int out) {
    return in_range(kernel, 1, kMostPositions) && in_range(stride, 1, kMostPositions) &&
           in_range(dilation, 1, kMostPositions) && in_range(pad, 0, kMostPositions) &&
           int64_t{out} * stride <= kMostPositions && int64_t{kernel} * dilation <= kMostPositions;
  };
  require(x.c == y.c && fits(p.kernel_h, p.stride_h, p.dilation_h, p.pad_top, y.h) &&
              fits(p.kernel_w, p.stride_w, p.dilation_w, p.pad_left, y.w),
          s.name + ": an impossible window");
  s.weight = array(object.attr("weight"), product({x.c, p.kernel_h, p.kernel_w}));
  if (s.op == TrainingOp::kDepthwise && !object.attr("bias").is_none()) {
    s.bias = array(object.attr("bias"), x.c);
  }
}

void TrainingReader::read_pool(const py::object& object, TrainingStep& s) const {
  Window& p = s.window;
  read_window(object, p);
  const auto fits = [](int kernel, int stride, int pad, int in, int out) {
    return in_range(kernel, 1, kMostPositions) && in_range(stride, 1, kMostPositions) &&
           in_range(pad, 0, kernel - 1) && int64_t{out - 1} * stride - pad < in;
  };
  const TrainingValue &x = at(s.x), &y = at(s.y);
  require(x.c == y.c && fits(p.kernel_h, p.stride_h, p.pad_top, x.h, y.h) &&
              fits(p.kernel_w, p.stride_w, p.pad_left, x.w, y.w),
          s.name + ": a pool with a window that holds no pixel");
}

TrainingTaps TrainingReader::read_taps(const py::object& object, int in, int out,
                                       const TrainingStep& s) const {
  TrainingTaps taps = {field<int32_t>(object, "taps"),
                       field<std::vector<int32_t>>(object, "positions"),
                       field<std::vector<float>>(object, "weights")};
  const auto count = static_cast<int64_t>(taps.positions.size());
  require(taps.taps >= 1 && count == int64_t{taps.taps} * out &&
              count == static_cast<int64_t>(taps.weights.size()),
          s.name + ": taps that are not so many an output");
  for (const int32_t position : taps.positions) {
    require(in_range(position, -1, in - 1), s.name + ": reads outside its input");
  }
  return taps;
}

}  // namespace facegen
