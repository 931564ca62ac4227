#include "read_program.h"

#include <algorithm>
#include <iterator>
#include <string>
#include <tuple>
#include <utility>

#include "arguments.h"
#include "check_program.h"

namespace py = pybind11;

namespace facegen {
namespace {

constexpr const char* kSubject = "program";

// Names in the order of the enum's values.
constexpr const char* kActivationNames[] = {
    "none",   "relu", "leaky_relu", "tanh", "prelu",    "clip", "elu", "sigmoid", "hard_sigmoid",
    "hard_swish", "silu", "gelu",   "gelu_tanh", "mish", "softplus", "exp", "log", "abs",
    "sqrt",   "reciprocal", "sign"};
constexpr const char* kAlgorithmNames[] = {"auto", "direct", "naive", "im2col", "winograd", "fft",
                                           "strassen"};
constexpr const char* kFormatNames[] = {"float32", "split", "half"};
constexpr const char* kCombineNames[] = {"add", "multiply", "maximum", "minimum"};

}  // namespace

ProgramStorage::ProgramStorage(const py::object& object) : FieldReader(kSubject) {
  constants_ = py::dict(object.attr("constants"));
  read_buffers(object.attr("buffers"));
  program_.arena_floats = field<int64_t>(object, "arena_floats");
  check_buffers(program_);
  for (const auto item : object.attr("steps")) {
    steps_.push_back(read_step(py::reinterpret_borrow<py::object>(item)));
  }
  program_.steps = steps_.data();
  program_.step_count = static_cast<int32_t>(steps_.size());
  program_.constant_steps = field<int32_t>(object, "constant_steps");
  check_order(program_);
  constants_ = py::dict();
}

ProgramStorage::ProgramStorage(Shapes, const py::object& buffers)
    : FieldReader(kSubject), shapes_alone_(true) {
  read_buffers(buffers);
}

template <typename Enum, std::size_t count>
Enum ProgramStorage::read_enum(const char* const (&names)[count], const std::string& name,
                               const char* what) const {
  const auto* found = std::find(std::begin(names), std::end(names), name);
  require(found != std::end(names), std::string("unknown ") + what + " " + name);
  return static_cast<Enum>(found - std::begin(names));
}

void ProgramStorage::read_buffers(const py::object& object) {
  for (const auto item : object) {
    const auto buffer = py::reinterpret_borrow<py::object>(item);
    const auto kind = field<std::string>(buffer, "kind");
    require(kind == "input" || kind == "output" || kind == "arena", "unknown buffer kind " + kind);
    buffers_.push_back({kind == "input"    ? BufferKind::kInput
                        : kind == "output" ? BufferKind::kOutput
                                           : BufferKind::kArena,
                        field<int32_t>(buffer, "index"), field<int64_t>(buffer, "floats"),
                        field<int64_t>(buffer, "arena_offset"),
                        read_enum<Format>(kFormatNames, field<std::string>(buffer, "format"),
                                          "format")});
    require(kind == "arena" || buffers_.back().format == Format::kFloat32,
            "inputs and outputs are float32");
  }
  program_.buffers = buffers_.data();
  program_.buffer_count = static_cast<int32_t>(buffers_.size());
}

void ProgramStorage::release_weights() { packed_only_.clear(); }

const float* ProgramStorage::optional_constant(const py::object& name, int64_t size) {
  return name.is_none() ? nullptr : constant(name, size, false);
}

const float* ProgramStorage::constant(const py::object& name, int64_t size, bool packed_only) {
  require(!name.is_none(), "a step lacks a constant that it cannot do without");
  require(size >= 0, "a constant of impossible size");
  if (shapes_alone_) {
    static const float some = 0.0f;
    return &some;
  }
  const auto text = py::str(name).cast<std::string>();
  require(constants_.contains(name), "constant " + text + " is missing");
  const py::object value = constants_[name];
  if (!py::isinstance<Constant>(value)) {
    throw py::type_error(error("constant " + text + " must be a C-contiguous float32 array"));
  }
  const auto array = py::reinterpret_borrow<Constant>(value);
  require(is_aligned(array), "constant " + text + " begins at an odd address");
  require(array.size() == size, "constant " + text + " has " + std::to_string(array.size()) +
                                    " values, expected " + std::to_string(size));
  (packed_only ? packed_only_ : kept_).push_back(array);
  return array.data();
}

View ProgramStorage::shape(const py::object& object) const {
  return {field<int32_t>(object, "buffer"),       field<int32_t>(object, "height"),
          field<int32_t>(object, "width"),        field<int32_t>(object, "channels"),
          field<int64_t>(object, "pixel_stride"), field<int64_t>(object, "offset")};
}

View ProgramStorage::view(const py::object& object) const {
  const View v = shape(object);
  check_view(v, program_);
  return v;
}

Epilogue ProgramStorage::epilogue(const py::object& object, int channels) {
  Epilogue e;
  e.activation = read_enum<Activation>(kActivationNames, field<std::string>(object, "activation"),
                                       "activation");
  e.alpha = field<float>(object, "alpha");
  e.beta = field<float>(object, "beta");
  e.slopes = optional_constant(object.attr("slopes"), channels);
  e.scale = optional_constant(object.attr("scale"), channels);
  e.shift = optional_constant(object.attr("shift"), channels);
  if (!object.attr("other").is_none()) e.other = view(object.attr("other"));
  e.combine = read_enum<Combine>(kCombineNames, field<std::string>(object, "combine"),
                                 "combination");
  e.after_activation = field<bool>(object, "after_activation");
  return e;
}

AxisTaps ProgramStorage::axis_taps(const py::object& object, int out) {
  const auto taps = field<int32_t>(object, "taps");
  const auto& positions = positions_.emplace_back(field<std::vector<int32_t>>(object, "positions"));
  const auto& weights = tap_weights_.emplace_back(field<std::vector<float>>(object, "weights"));
  const int64_t count = int64_t{taps} * out;
  require(static_cast<int64_t>(positions.size()) == count &&
              static_cast<int64_t>(weights.size()) == count,
          "a resampling has not as many positions and weights as outputs have taps");
  return {taps, positions.data(), weights.data()};
}

void ProgramStorage::read_gemm(const py::object& object, Step& s) {
  using Two = std::pair<int32_t, int32_t>;
  s.op = Op::kGemm;
  std::tie(s.kernel_h, s.kernel_w) = field<Two>(object, "kernel_size");
  require(s.kernel_h >= 1 && s.kernel_w >= 1, "a kernel without taps");
  std::vector<Phase>& phases = phases_.emplace_back();
  for (const auto item : object.attr("phases")) {
    const auto phase = py::reinterpret_borrow<py::object>(item);
    phases.push_back({read_axis(phase.attr("y")), read_axis(phase.attr("x"))});
  }
  s.phases = phases.data();
  s.phase_count = static_cast<int32_t>(phases.size());
  if (!object.attr("finish").is_none()) {
    // As a step of its own it would read a buffer: here only the shape of what it reads counts.
    const py::object finish = object.attr("finish");
    // Refused before it is read: a chain of them may be deeper than the stack, or have no end.
    require(!py::hasattr(finish, "finish") || finish.attr("finish").is_none(),
            "a finish that has a finish");
    s.finish = &finishes_.emplace_back(read_op(finish, shape(finish.attr("input"))));
  }
  const int channels = map_of(s).c;
  s.weight = constant(object.attr("weight"), product({channels, s.kernel_h, s.kernel_w, s.in.c}),
                      true);
  s.bias = optional_constant(object.attr("bias"), channels);
  s.algorithm = read_enum<Algorithm>(kAlgorithmNames, field<std::string>(object, "algorithm"),
                                     "algorithm");
  s.binary = field<bool>(object, "binary");
  s.softmax_input = field<bool>(object, "softmax_input");
  s.centre_channels = field<int32_t>(object, "centre_channels");
}

Step ProgramStorage::read_step(const py::object& object) {
  const bool fill = py::type::of(object).attr("__name__").cast<std::string>() == "Fill";
  const Step s = read_op(object, fill ? View{} : view(object.attr("input")));
  check_step(s, program_, shapes_alone_);
  return s;
}

Step ProgramStorage::read_op(const py::object& object, const View& in) {
  using Two = std::pair<int32_t, int32_t>;
  const auto kind = py::type::of(object).attr("__name__").cast<std::string>();
  Step s{};
  s.in = in;
  s.out = view(object.attr("output"));
  if (kind == "Gemm") {
    read_gemm(object, s);
  } else if (kind == "MaxPool") {
    s.op = Op::kMaxPool;
    std::tie(s.window.kernel_h, s.window.kernel_w) = field<Two>(object, "kernel_size");
    std::tie(s.window.stride_h, s.window.stride_w) = field<Two>(object, "stride");
    s.window.pad_top = field<int32_t>(object, "pad_top");
    s.window.pad_left = field<int32_t>(object, "pad_left");
  } else if (kind == "Depthwise") {
    s.op = Op::kDepthwise;
    std::tie(s.window.kernel_h, s.window.kernel_w) = field<Two>(object, "kernel_size");
    std::tie(s.window.stride_h, s.window.stride_w) = field<Two>(object, "stride");
    std::tie(s.window.dilation_h, s.window.dilation_w) = field<Two>(object, "dilation");
    s.window.pad_top = field<int32_t>(object, "pad_top");
    s.window.pad_left = field<int32_t>(object, "pad_left");
    require(s.window.kernel_h >= 1 && s.window.kernel_w >= 1, "a kernel without taps");
    s.weight = constant(object.attr("weight"),
                        product({s.window.kernel_h, s.window.kernel_w, s.out.c}), false);
    s.bias = optional_constant(object.attr("bias"), s.out.c);
  } else if (kind == "InstanceNorm") {
    s.op = Op::kInstanceNorm;
    s.weight = constant(object.attr("gamma"), s.out.c, false);
    s.bias = constant(object.attr("beta"), s.out.c, false);
    s.eps = field<float>(object, "eps");
    s.groups = field<int32_t>(object, "groups");
  } else if (kind == "LayerNorm") {
    s.op = Op::kLayerNorm;
    s.weight = constant(object.attr("gamma"), s.out.c, false);
    s.bias = constant(object.attr("beta"), s.out.c, false);
    s.eps = field<float>(object, "eps");
  } else if (kind == "Lrn") {
    s.op = Op::kLrn;
    s.lrn = {field<int32_t>(object, "size"), field<float>(object, "alpha"),
             field<float>(object, "beta"), field<float>(object, "k")};
  } else if (kind == "Rearrange") {
    s.op = Op::kRearrange;
    s.block = field<int32_t>(object, "block");
    s.depth_first = field<bool>(object, "depth_first");
  } else if (kind == "Shuffle") {
    s.op = Op::kShuffle;
    s.groups = field<int32_t>(object, "groups");
  } else if (kind == "Softmax") {
    s.op = Op::kSoftmax;
    s.log = field<bool>(object, "log");
  } else if (kind == "Resample") {
    s.op = Op::kResample;
    s.rows = axis_taps(object.attr("rows"), s.out.h);
    s.columns = axis_taps(object.attr("columns"), s.out.w);
  } else if (kind == "Pointwise") {
    s.op = Op::kPointwise;
  } else if (kind == "Fill") {
    s.op = Op::kFill;
    s.bias = constant(object.attr("value"), s.out.c, false);
  } else if (kind == "ArgMax") {
    s.op = Op::kArgMax;
  } else if (kind == "GlobalAvgPool") {
    s.op = Op::kGlobalAvgPool;
  } else {
    throw py::type_error(error("unknown step " + kind));
  }
  if (py::hasattr(object, "epilogue")) s.epilogue = epilogue(object.attr("epilogue"), map_of(s).c);
  if (py::hasattr(object, "slices")) {
    s.slices = field<bool>(object, "slices");
    const py::object copy = object.attr("copy");
    if (!copy.is_none()) {
      s.copy = view(copy.attr("view"));
      s.copy_relu = field<bool>(copy, "relu");
    }
  }
  return s;
}

}  // namespace facegen
