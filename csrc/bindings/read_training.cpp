#include "read_training.h"

#include <pybind11/stl.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "arguments.h"
#include "check_program.h"

namespace py = pybind11;

namespace facegen {
namespace {

void require(bool fits, const std::string& what) {
  if (!fits) throw py::value_error("training program: " + what);
}

bool in_range(int64_t value, int64_t first, int64_t last) { return first <= value && value <= last; }

template <typename T>
T field(const py::object& object, const char* name) {
  const py::object value = object.attr(name);
  try {
    return value.cast<T>();
  } catch (const py::cast_error&) {
    throw py::value_error(std::string("training program: ") + name + " cannot be " +
                          py::repr(value).cast<std::string>());
  }
}

std::string kind_of(const py::object& step) {
  return py::type::of(step).attr("__name__").cast<std::string>();
}

template <typename Enum>
Enum named(const std::map<std::string, Enum>& names, const std::string& name) {
  const auto found = names.find(name);
  require(found != names.end(), "unknown " + name);
  return found->second;
}

const std::map<std::string, TrainingOp> kOps = {
    {"Gemm", TrainingOp::kGemm},
    {"WeightGradient", TrainingOp::kWeightGradient},
    {"Depthwise", TrainingOp::kDepthwise},
    {"DepthwiseGradient", TrainingOp::kDepthwiseGradient},
    {"DepthwiseWeightGradient", TrainingOp::kDepthwiseWeightGradient},
    {"BiasGradient", TrainingOp::kBiasGradient},
    {"Activate", TrainingOp::kActivate},
    {"ActivateGradient", TrainingOp::kActivateGradient},
    {"Prelu", TrainingOp::kPrelu},
    {"PreluGradient", TrainingOp::kPreluGradient},
    {"Multiply", TrainingOp::kMultiply},
    {"MultiplySum", TrainingOp::kMultiplySum},
    {"Softmax", TrainingOp::kSoftmax},
    {"SoftmaxGradient", TrainingOp::kSoftmaxGradient},
    {"Shuffle", TrainingOp::kShuffle},
    {"Rearrange", TrainingOp::kRearrange},
    {"MaxPool", TrainingOp::kMaxPool},
    {"MaxPoolGradient", TrainingOp::kMaxPoolGradient},
    {"GlobalAvgPool", TrainingOp::kGlobalAvgPool},
    {"GlobalAvgPoolGradient", TrainingOp::kGlobalAvgPoolGradient},
    {"BatchNorm", TrainingOp::kBatchNorm},
    {"BatchNormGradient", TrainingOp::kBatchNormGradient},
    {"InstanceNorm", TrainingOp::kInstanceNorm},
    {"InstanceNormGradient", TrainingOp::kInstanceNormGradient},
    {"LayerNorm", TrainingOp::kLayerNorm},
    {"LayerNormGradient", TrainingOp::kLayerNormGradient},
    {"Copy", TrainingOp::kCopy},
    {"Resample", TrainingOp::kResample},
    {"ResampleGradient", TrainingOp::kResampleGradient},
    {"Dropout", TrainingOp::kDropout},
    {"Loss", TrainingOp::kLoss},
    {"UpdateStatistics", TrainingOp::kUpdateStatistics},
    {"Update", TrainingOp::kUpdate},
};
const std::map<std::string, Activation> kActivations = {
    {"none", Activation::kNone},
    {"relu", Activation::kRelu},
    {"leaky_relu", Activation::kLeakyRelu},
    {"tanh", Activation::kTanh},
    {"clip", Activation::kClip},
    {"elu", Activation::kElu},
    {"sigmoid", Activation::kSigmoid},
    {"hard_sigmoid", Activation::kHardSigmoid},
    {"hard_swish", Activation::kHardSwish},
    {"silu", Activation::kSilu},
    {"gelu", Activation::kGelu},
    {"gelu_tanh", Activation::kGeluTanh},
    {"mish", Activation::kMish},
    {"softplus", Activation::kSoftplus},
    {"exp", Activation::kExp},
    {"log", Activation::kLog},
    {"abs", Activation::kAbs},
    {"sqrt", Activation::kSqrt},
    {"reciprocal", Activation::kReciprocal},
};
const std::map<std::string, LossKind> kLosses = {
    {"cross_entropy", LossKind::kCrossEntropy},
    {"soft_cross_entropy", LossKind::kSoftCrossEntropy},
    {"binary_cross_entropy", LossKind::kBinaryCrossEntropy},
    {"l1", LossKind::kL1},
    {"l2", LossKind::kL2},
    {"given", LossKind::kGiven},
    {"relativistic_pairs", LossKind::kRelativisticPairs},
};
const std::map<std::string, OptimizerKind> kOptimizers = {
    {"sgd", OptimizerKind::kSgd}, {"adam", OptimizerKind::kAdam}, {"adamw", OptimizerKind::kAdamW}};

Axis read_axis(const py::object& axis, int kernel, int out) {
  const Axis a = {field<int32_t>(axis, "out"),        field<int32_t>(axis, "step"),
                  field<int32_t>(axis, "dir"),        field<int32_t>(axis, "base"),
                  field<int32_t>(axis, "taps"),       field<int32_t>(axis, "first_tap"),
                  field<int32_t>(axis, "tap_step"),   field<int32_t>(axis, "out_origin"),
                  field<int32_t>(axis, "out_step")};
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

// Of parameters with a rate of their own: far more than any optimizer has, and no number overflows.
constexpr int32_t kMostGroups = 1 << 20;

class Reader {
 public:
  explicit Reader(TrainingStorage& storage) : storage_(storage), program_(storage.program) {}

  void read(const py::object& object, const py::dict& arrays) {
    read_values(object);
    read_arrays(arrays);
    for (const auto item : py::dict(object.attr("statistics"))) {
      statistics_[item.first.cast<std::string>()] =
          static_cast<int32_t>(program_.statistics.size());
      program_.statistics.push_back(item.second.cast<int64_t>());
      require(in_range(program_.statistics.back(), 1, kMostFloats), "statistics of impossible size");
    }
    program_.forward_steps = read_steps(object.attr("forward"), false);
    program_.backward_steps = read_steps(object.attr("backward"), false);
    read_steps(object.attr("update"), true);
    const auto& steps = program_.steps;
    require(program_.forward_steps > 0 &&
                steps[std::size_t(program_.forward_steps - 1)].op == TrainingOp::kLoss,
            "a forward pass that does not end in a loss");
    require(std::none_of(steps.begin() + program_.forward_steps, steps.end(),
                         [](const TrainingStep& s) { return s.op == TrainingOp::kLoss; }),
            "a loss behind the forward pass");
    for (const int32_t target : program_.targets) {
      require(target >= 0, "a target that no loss takes");
    }
    check_gradients();
    for (const auto item : object.attr("input_gradients")) {
      const auto name = item.cast<std::string>();
      const int32_t gradient = written(py::str("d(" + name + ")"));
      require_same(value(py::str(name)), gradient, "the gradient of " + name);
    }
    for (const auto name : object.attr("kept")) {
      program_.kept.push_back(written(py::reinterpret_borrow<py::object>(name)));
    }
  }

 private:
  // Gradients have room where a parameter is updated.
  void check_gradients() const {
    std::set<int32_t> updated;
    for (const TrainingStep& s : program_.steps) {
      if (s.op == TrainingOp::kUpdate) updated.insert(s.weight);
    }
    for (const TrainingStep& s : program_.steps) {
      const bool norm = s.op == TrainingOp::kBatchNormGradient ||
                        s.op == TrainingOp::kInstanceNormGradient ||
                        s.op == TrainingOp::kLayerNormGradient;
      const int32_t made =
          s.op == TrainingOp::kWeightGradient || s.op == TrainingOp::kDepthwiseWeightGradient
              ? s.weight
          : s.op == TrainingOp::kBiasGradient                ? s.bias
          : s.op == TrainingOp::kPreluGradient && s.trained ? s.slope
                                                             : -1;
      require((made < 0 || updated.count(made) > 0) &&
                  (!norm || !s.trained ||
                   (updated.count(s.gamma) > 0 && updated.count(s.beta) > 0)),
              s.name + ": a gradient of what is not updated");
    }
  }

  void read_values(const py::object& object) {
    program_.arena_floats = field<int64_t>(object, "arena_floats");
    require(in_range(program_.arena_floats, 0, kMostFloats), "an arena of impossible size");
    const std::map<std::string, ValueKind> kinds = {
        {"input", ValueKind::kInput}, {"target", ValueKind::kTarget}, {"arena", ValueKind::kArena}};
    for (const auto item : py::dict(object.attr("values"))) {
      const auto name = item.first.cast<std::string>();
      const auto value = py::reinterpret_borrow<py::object>(item.second);
      const py::object shape = value.attr("shape");
      const TrainingValue v = {named(kinds, field<std::string>(value, "kind")),
                               field<int32_t>(value, "index"),
                               field<int32_t>(shape, "height"),
                               field<int32_t>(shape, "width"),
                               field<int32_t>(shape, "channels"),
                               field<int64_t>(value, "offset")};
      require(in_range(v.h, 1, kMostPositions) && in_range(v.w, 1, kMostPositions) &&
                  in_range(v.c, 1, kMostPositions) && v.pixels() <= kMostPixels,
              name + " has an impossible shape");
      const int64_t floats = product({v.h, v.w, v.c});
      require(floats > 0 && (v.kind != ValueKind::kArena ||
                             in_range(v.offset, 0, program_.arena_floats - floats)),
              name + " lies outside the arena");
      values_[name] = static_cast<int32_t>(program_.values.size());
      program_.values.push_back(v);
    }
    int32_t index = 0, targets = 0;
    for (const auto item : object.attr("inputs")) {
      const auto& v = at(value(py::reinterpret_borrow<py::object>(item)));
      require(v.kind == ValueKind::kInput && v.index == index++, "inputs out of order");
    }
    for (const TrainingValue& v : program_.values) {
      require(v.kind != ValueKind::kInput || in_range(v.index, 0, index - 1), "an unknown input");
      targets += v.kind == ValueKind::kTarget;
    }
    for (const TrainingValue& v : program_.values) {
      require(v.kind != ValueKind::kTarget || in_range(v.index, 0, targets - 1), "an unknown target");
    }
    program_.targets.assign(std::size_t(targets), -1);
  }

  void read_arrays(const py::dict& arrays) {
    for (const auto item : arrays) {
      const auto name = item.first.cast<std::string>();
      if (!py::isinstance<py::array_t<float, py::array::c_style>>(item.second)) {
        throw py::type_error(name + " must be a C-contiguous float32 array");
      }
      py::array array = py::reinterpret_borrow<py::array>(item.second);
      require_aligned(array, name);
      if (!array.writeable()) throw py::value_error(name + " is read-only");
      arrays_[name] = static_cast<int32_t>(program_.arrays.size());
      program_.arrays.push_back(
          {name, static_cast<float*>(array.mutable_data()), static_cast<int64_t>(array.size())});
      storage_.kept.push_back(std::move(array));
    }
  }

  int32_t read_steps(const py::object& steps, bool updating) {
    int32_t count = 0;
    for (const auto item : steps) {
      program_.steps.push_back(read_step(py::reinterpret_borrow<py::object>(item)));
      const TrainingOp op = program_.steps.back().op;
      require((op == TrainingOp::kUpdate || op == TrainingOp::kUpdateStatistics) == updating,
              "an update among other steps, or another among updates");
      ++count;
    }
    return count;
  }

  // Of an operand that the step must have: none is -1.
  const TrainingValue& at(int32_t index) const {
    require(index >= 0, "a step without an operand that it needs");
    return program_.values[std::size_t(index)];
  }

  int32_t value(const py::object& name) const {
    const auto found = values_.find(name.cast<std::string>());
    require(found != values_.end(), "unknown value " + name.cast<std::string>());
    return found->second;
  }

  // One that a step writes.
  int32_t written(const py::object& name) const {
    const int32_t index = value(name);
    require(at(index).kind == ValueKind::kArena, "a step writes what is the caller's");
    return index;
  }

  int32_t array(const py::object& name, int64_t floats) const {
    const auto text = name.cast<std::string>();
    const auto found = arrays_.find(text);
    require(found != arrays_.end(), "array " + text + " is missing");
    const int64_t size = program_.arrays[std::size_t(found->second)].floats;
    require(size == floats, "array " + text + " has " + std::to_string(size) +
                                " values, expected " + std::to_string(floats));
    return found->second;
  }

  int32_t statistics(const py::object& name, int64_t floats) const {
    const auto found = statistics_.find(name.cast<std::string>());
    require(found != statistics_.end() &&
                program_.statistics[std::size_t(found->second)] == floats,
            "unknown statistics " + name.cast<std::string>());
    return found->second;
  }

  void require_same(int32_t a, int32_t b, const std::string& name) const {
    const TrainingValue &x = at(a), &y = at(b);
    require(x.h == y.h && x.w == y.w && x.c == y.c, name + ": two shapes that should be one");
  }

  void read_phases(const py::object& object, TrainingStep& s, const TrainingValue& map) const {
    std::tie(s.kernel_h, s.kernel_w) = field<std::pair<int32_t, int32_t>>(object, "kernel_size");
    require(in_range(s.kernel_h, 1, kMostPositions) && in_range(s.kernel_w, 1, kMostPositions),
            s.name + ": a kernel without taps");
    for (const auto item : object.attr("phases")) {
      const auto phase = py::reinterpret_borrow<py::object>(item);
      s.phases.push_back({read_axis(phase.attr("y"), s.kernel_h, map.h),
                          read_axis(phase.attr("x"), s.kernel_w, map.w)});
    }
    require(!s.phases.empty() && static_cast<int64_t>(s.phases.size()) * map.c <= kMostPositions,
            s.name + ": no phases, or too many columns");
  }

  // Returns the number of all the layer's groups.
  static int64_t read_part(const py::object& object, TrainingStep& s, int64_t ins, int64_t outs) {
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

  void read_groups(const py::object& object, TrainingStep& s) const {
    s.groups = field<int32_t>(object, "groups");
    require(s.groups >= 1 && at(s.x).c % s.groups == 0,
            s.name + ": groups that do not divide their channels");
  }

  void read_blocks(const py::object& object, TrainingStep& s) const {
    s.block = field<int32_t>(object, "block");
    s.depth_first = field<bool>(object, "depth_first");
    const TrainingValue &x = at(s.x), &y = at(s.y);
    const TrainingValue &small = x.pixels() < y.pixels() ? x : y, &large = &small == &x ? y : x;
    require(in_range(s.block, 1, kMostPositions) &&
                int64_t{small.h} * s.block == large.h && int64_t{small.w} * s.block == large.w &&
                small.floats() == large.floats(),
            s.name + ": blocks that do not divide their map");
  }

  // One pixel, or one channel, for all of a map; or one of its shape.
  static void require_spread(const TrainingValue& other, const TrainingValue& map,
                             const std::string& name) {
    const bool same_pixels = other.h == map.h && other.w == map.w;
    require((other.c == map.c && (same_pixels || other.pixels() == 1)) ||
                (other.c == 1 && same_pixels),
            name + ": factors of another shape");
  }

  static void read_window(const py::object& object, Window& p) {
    using Two = std::pair<int32_t, int32_t>;
    std::tie(p.kernel_h, p.kernel_w) = field<Two>(object, "kernel_size");
    std::tie(p.stride_h, p.stride_w) = field<Two>(object, "stride");
    std::tie(p.pad_top, p.pad_left) = field<Two>(object, "padding");
  }

  void read_depthwise(const py::object& object, TrainingStep& s) const {
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

  void read_pool(const py::object& object, TrainingStep& s) const {
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

  static TrainingTaps read_taps(const py::object& object, int in, int out, const TrainingStep& s) {
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

  void read_norm(const py::object& object, TrainingStep& s) const {
    const int64_t c = at(s.x).c;
    s.gamma = array(object.attr("gamma"), c);
    s.beta = array(object.attr("beta"), c);
    require_same(s.x, s.y, s.name);
  }

  TrainingStep read_step(const py::object& object) const {
    TrainingStep s;
    s.op = named(kOps, kind_of(object));
    s.name = field<std::string>(object, "name");
    const auto has = [&](const char* name) { return py::hasattr(object, name); };
    if (has("accumulate")) s.accumulate = field<bool>(object, "accumulate");
    if (has("activation")) {
      s.activation = named(kActivations, field<std::string>(object, "activation"));
      std::tie(s.alpha, s.limit) = field<std::pair<float, float>>(object, "numbers");
    }
    const bool writes_y = !has("dx") && !has("dy");
    if (has("x")) s.x = value(object.attr("x"));
    if (has("y")) s.y = writes_y ? written(object.attr("y")) : value(object.attr("y"));
    if (has("dy")) s.dy = value(object.attr("dy"));
    if (has("dx") && !object.attr("dx").is_none()) s.dx = written(object.attr("dx"));
    if (has("other")) s.other = value(object.attr("other"));
    // Gradients of what is trained may be all that is wanted of these.
    const bool may_end = s.op == TrainingOp::kBatchNormGradient ||
                         s.op == TrainingOp::kInstanceNormGradient ||
                         s.op == TrainingOp::kLayerNormGradient ||
                         s.op == TrainingOp::kPreluGradient;
    require(!has("dx") || s.dx >= 0 || may_end, s.name + ": no dx");
    for (const int32_t index : {s.x, s.other, s.y, s.dy}) {
      require(index < 0 || at(index).kind != ValueKind::kTarget, s.name + ": reads the target");
    }
    switch (s.op) {
      case TrainingOp::kGemm:
      case TrainingOp::kWeightGradient: {
        const TrainingValue& map = at(s.op == TrainingOp::kGemm ? s.y : s.dy);
        read_phases(object, s, map);
        if (s.op == TrainingOp::kGemm) {
          s.transposed = field<bool>(object, "transposed");
          s.direct_only = field<bool>(object, "direct_only");
          if (!object.attr("bias").is_none()) s.bias = array(object.attr("bias"), map.c);
        }
        const int64_t ins = s.transposed ? map.c : at(s.x).c, outs = s.transposed ? at(s.x).c : map.c;
        int64_t groups = 1;
        if (!object.attr("part").is_none()) groups = read_part(object.attr("part"), s, ins, outs);
        s.weight =
            array(object.attr("weight"), product({outs, s.kernel_h, s.kernel_w, ins / groups}));
        break;
      }
      case TrainingOp::kDepthwise:
      case TrainingOp::kDepthwiseGradient:
      case TrainingOp::kDepthwiseWeightGradient: read_depthwise(object, s); break;
      case TrainingOp::kBiasGradient: s.bias = array(object.attr("bias"), at(s.dy).c); break;
      case TrainingOp::kActivate: require_same(s.x, s.y, s.name); break;
      case TrainingOp::kPrelu:
      case TrainingOp::kPreluGradient:
        s.slope = array(object.attr("slope"), at(s.x).c);
        require_same(s.x, s.op == TrainingOp::kPrelu ? s.y : s.dy, s.name);
        break;
      case TrainingOp::kMultiply: {
        require_same(s.x, s.y, s.name);
        require_spread(at(s.other), at(s.x), s.name);
        break;
      }
      case TrainingOp::kMultiplySum:
        require_same(s.x, s.dy, s.name);
        require_spread(at(s.dx), at(s.x), s.name);
        break;
      case TrainingOp::kSoftmax:
      case TrainingOp::kSoftmaxGradient:
        s.log = field<bool>(object, "log");
        require_same(s.op == TrainingOp::kSoftmax ? s.x : s.dx, s.y, s.name);
        break;
      case TrainingOp::kShuffle:
        read_groups(object, s);
        require_same(s.x, s.y, s.name);
        break;
      case TrainingOp::kRearrange: read_blocks(object, s); break;
      case TrainingOp::kActivateGradient:
        require_same(s.y, s.dy, s.name);
        require_same(s.y, s.dx, s.name);
        break;
      case TrainingOp::kMaxPool: read_pool(object, s); break;
      case TrainingOp::kMaxPoolGradient:
        read_pool(object, s);
        require_same(s.y, s.dy, s.name);
        require_same(s.x, s.dx, s.name);
        break;
      case TrainingOp::kGlobalAvgPool:
      case TrainingOp::kGlobalAvgPoolGradient: {
        const bool forward = s.op == TrainingOp::kGlobalAvgPool;
        const TrainingValue &large = at(forward ? s.x : s.dx), &small = at(forward ? s.y : s.dy);
        require(small.pixels() == 1 && small.c == large.c, s.name + ": no pixel of its channels");
        break;
      }
      case TrainingOp::kBatchNorm:
      case TrainingOp::kBatchNormGradient:
        read_norm(object, s);
        s.statistics = statistics(object.attr("statistics"), int64_t{3} * at(s.x).c);
        s.stored = field<bool>(object, "stored");
        break;
      case TrainingOp::kInstanceNorm:
      case TrainingOp::kInstanceNormGradient:
        read_norm(object, s);
        s.statistics = written(object.attr("statistics"));
        require(at(s.statistics).floats() == int64_t{2} * at(s.x).c,
                s.name + ": statistics of another size");
        read_groups(object, s);
        break;
      case TrainingOp::kLayerNorm:
      case TrainingOp::kLayerNormGradient:
        s.gamma = array(object.attr("gamma"), at(s.x).c);
        s.beta = array(object.attr("beta"), at(s.x).c);
        s.statistics = written(object.attr("statistics"));
        require_same(s.x, s.op == TrainingOp::kLayerNorm ? s.y : s.dy, s.name);
        require(at(s.statistics).floats() == 2 * at(s.x).pixels(),
                s.name + ": statistics of another size");
        break;
      case TrainingOp::kCopy:
        s.channels = field<int32_t>(object, "channels");
        s.first_x = field<int32_t>(object, "first_x");
        s.first_y = field<int32_t>(object, "first_y");
        s.scale = field<float>(object, "scale");
        s.shift = field<float>(object, "shift");
        s.zero_rest = field<bool>(object, "zero_rest");
        require(!s.zero_rest || (!s.accumulate && s.x != s.y), s.name + ": zeros where it adds");
        require(at(s.x).pixels() == at(s.y).pixels() && s.channels >= 1 &&
                    in_range(s.first_x, 0, at(s.x).c - s.channels) &&
                    in_range(s.first_y, 0, at(s.y).c - s.channels),
                s.name + ": copies what is not there");
        break;
      case TrainingOp::kResample:
      case TrainingOp::kResampleGradient: {
        const bool forward = s.op == TrainingOp::kResample;
        const TrainingValue &in = at(forward ? s.x : s.dx), &out = at(forward ? s.y : s.dy);
        require(in.c == out.c, s.name + ": two numbers of channels that should be one");
        s.rows = read_taps(object.attr("rows"), in.h, out.h, s);
        s.columns = read_taps(object.attr("columns"), in.w, out.w, s);
        break;
      }
      case TrainingOp::kDropout:
        s.share = field<float>(object, "share");
        s.stream = field<int32_t>(object, "stream");
        require(s.share >= 0.0f && s.share < 1.0f && s.stream >= 0, s.name + ": no such share");
        require_same(s.x, s.y, s.name);
        break;
      case TrainingOp::kLoss: read_loss(object, s); break;
      case TrainingOp::kUpdateStatistics: {
        const int64_t c = at(s.x).c;
        s.mean = array(object.attr("mean"), c);
        s.var = array(object.attr("var"), c);
        s.statistics = statistics(object.attr("statistics"), 3 * c);
        s.momentum = field<float>(object, "momentum");
        break;
      }
      case TrainingOp::kUpdate: read_update(object, s); break;
    }
    if (s.op == TrainingOp::kBatchNorm) {
      s.mean = array(object.attr("mean"), at(s.x).c);
      s.var = array(object.attr("var"), at(s.x).c);
    }
    if (has("eps")) s.eps = field<float>(object, "eps");
    if (has("trained")) s.trained = field<bool>(object, "trained");
    if (may_end) require_same(s.x, s.dy, s.name);
    if (s.dx >= 0 && s.x >= 0 && s.op != TrainingOp::kMultiplySum) require_same(s.x, s.dx, s.name);
    if (s.dy >= 0 && s.y >= 0) require_same(s.y, s.dy, s.name);
    return s;
  }

  void read_loss(const py::object& object, TrainingStep& s) const {
    const py::object loss = object.attr("loss");
    s.loss = named(kLosses, field<std::string>(loss, "kind"));
    s.loss_weight = field<float>(loss, "weight");
    if (s.loss == LossKind::kRelativisticPairs) {
      s.penalty = field<float>(loss, "penalty");
      s.generator = field<bool>(loss, "generator");
    }
    s.x = value(object.attr("prediction"));
    require(at(s.x).kind != ValueKind::kTarget, s.name + ": the prediction is the target");
    s.dx = written(object.attr("gradient"));
    require_same(s.x, s.dx, s.name);
    const bool none = s.loss == LossKind::kRelativisticPairs;
    require(none == object.attr("target").is_none(), s.name + ": a target too many, or none");
    if (none) return;
    s.y = value(object.attr("target"));
    require(at(s.y).kind == ValueKind::kTarget && at(s.y).pixels() == at(s.x).pixels(),
            s.name + ": another target");
    require(at(s.y).c == (takes_labels(s) ? 1 : at(s.x).c), s.name + ": a target of other channels");
    int32_t& target = program_.targets[std::size_t(at(s.y).index)];
    require(target < 0, s.name + ": a target that another loss takes");
    target = s.y;
  }

  void read_update(const py::object& object, TrainingStep& s) const {
    const auto floats = field<int64_t>(object, "floats");
    s.weight = array(object.attr("parameter"), floats);
    s.optimizer = named(kOptimizers, field<std::string>(object, "optimizer"));
    s.rate_group = field<int32_t>(object, "group");
    require(in_range(s.rate_group, 0, kMostGroups - 1),
            s.name + ": group " + std::to_string(s.rate_group) + ", expected 0 to " +
                std::to_string(kMostGroups - 1));
    program_.rate_groups = std::max(program_.rate_groups, s.rate_group + 1);
    const py::tuple moments = object.attr("moments");
    const bool sgd = s.optimizer == OptimizerKind::kSgd;
    require(sgd ? moments.size() <= 1 : moments.size() == 2, "moments that the optimizer has not");
    if (moments.size() > 0) s.first_moment = array(moments[0], floats);
    if (moments.size() > 1) s.second_moment = array(moments[1], floats);
    s.weight_decay = field<double>(object, "weight_decay");
    s.momentum = field<float>(object, "momentum");
    s.nesterov = field<bool>(object, "nesterov");
    std::tie(s.beta1, s.beta2) = field<std::pair<double, double>>(object, "betas");
    if (!object.attr("average").is_none()) s.average = array(object.attr("average"), floats);
    s.average_decay = field<double>(object, "average_decay");
  }

  TrainingStorage& storage_;
  TrainingProgram& program_;
  std::map<std::string, int32_t> values_, arrays_, statistics_;
};

}  // namespace

TrainingStorage::TrainingStorage(const py::object& object, const py::dict& arrays) {
  Reader(*this).read(object, arrays);
  if (!object.attr("clip_norm").is_none()) program.clip_norm = field<float>(object, "clip_norm");
}

}  // namespace facegen
