#include "read_program.h"

#include <string>
#include <tuple>
#include <utility>

#include "arguments.h"
#include "check_program.h"

namespace py = pybind11;

namespace facegen {
namespace {

// The engines trust a Program; here, and in check_program.h, is where a wrong one stops.
void require(bool fits, const std::string& what) {
  if (!fits) throw py::value_error("program: " + what);
}

template <typename T>
T field(const py::object& object, const char* name) {
  const py::object value = object.attr(name);
  try {
    return value.cast<T>();
  } catch (const py::cast_error&) {
    throw py::value_error(std::string("program: ") + name + " cannot be " +
                          py::repr(value).cast<std::string>());
  }
}

Axis read_axis(const py::object& axis) {
  return {field<int32_t>(axis, "out"),        field<int32_t>(axis, "step"),
          field<int32_t>(axis, "dir"),        field<int32_t>(axis, "base"),
          field<int32_t>(axis, "taps"),       field<int32_t>(axis, "first_tap"),
          field<int32_t>(axis, "tap_step"),   field<int32_t>(axis, "out_origin"),
          field<int32_t>(axis, "out_step")};
}

Activation read_activation(const std::string& name) {
  if (name == "none") return Activation::kNone;
  if (name == "relu") return Activation::kRelu;
  if (name == "leaky_relu") return Activation::kLeakyRelu;
  if (name == "tanh") return Activation::kTanh;
  throw py::value_error("program: unknown activation " + name);
}

}  // namespace

ProgramStorage::ProgramStorage(const py::object& object) {
  constants_ = py::dict(object.attr("constants"));
  for (const auto item : object.attr("buffers")) {
    const auto buffer = py::reinterpret_borrow<py::object>(item);
    const auto kind = field<std::string>(buffer, "kind");
    require(kind == "input" || kind == "output" || kind == "arena", "unknown buffer kind " + kind);
    buffers_.push_back({kind == "input"    ? BufferKind::kInput
                        : kind == "output" ? BufferKind::kOutput
                                           : BufferKind::kArena,
                        field<int32_t>(buffer, "index"), field<int64_t>(buffer, "floats"),
                        field<int64_t>(buffer, "arena_offset")});
  }
  program_ = {nullptr, 0, buffers_.data(), static_cast<int32_t>(buffers_.size()),
              field<int64_t>(object, "arena_floats")};
  check_buffers(program_);
  for (const auto item : object.attr("steps")) {
    steps_.push_back(step(py::reinterpret_borrow<py::object>(item)));
  }
  program_.steps = steps_.data();
  program_.step_count = static_cast<int32_t>(steps_.size());
  constants_ = py::dict();
}

void ProgramStorage::release_weights() { packed_only_.clear(); }

const float* ProgramStorage::optional_constant(const py::object& name, int64_t size) {
  return name.is_none() ? nullptr : constant(name, size, false);
}

const float* ProgramStorage::constant(const py::object& name, int64_t size, bool packed_only) {
  require(!name.is_none(), "a step lacks a constant that it cannot do without");
  const auto text = py::str(name).cast<std::string>();
  require(constants_.contains(name), "constant " + text + " is missing");
  const py::object value = constants_[name];
  if (!py::isinstance<Constant>(value)) {
    throw py::type_error("program: constant " + text + " must be a C-contiguous float32 array");
  }
  const auto array = py::reinterpret_borrow<Constant>(value);
  require(is_aligned(array), "constant " + text + " begins at an odd address");
  require(array.size() == size, "constant " + text + " has " + std::to_string(array.size()) +
                                    " values, expected " + std::to_string(size));
  (packed_only ? packed_only_ : kept_).push_back(array);
  return array.data();
}

View ProgramStorage::view(const py::object& object) const {
  const View v = {field<int32_t>(object, "buffer"),       field<int32_t>(object, "height"),
                  field<int32_t>(object, "width"),        field<int32_t>(object, "channels"),
                  field<int64_t>(object, "pixel_stride"), field<int64_t>(object, "offset")};
  check_view(v, program_);
  return v;
}

Epilogue ProgramStorage::epilogue(const py::object& object, int channels) {
  Epilogue e;
  e.activation = read_activation(field<std::string>(object, "activation"));
  e.slope = field<float>(object, "slope");
  e.scale = optional_constant(object.attr("scale"), channels);
  e.shift = optional_constant(object.attr("shift"), channels);
  if (!object.attr("add").is_none()) e.add = view(object.attr("add"));
  return e;
}

Step ProgramStorage::step(const py::object& object) {
  using Two = std::pair<int32_t, int32_t>;
  const auto kind = py::type::of(object).attr("__name__").cast<std::string>();
  Step s{};
  s.in = view(object.attr("input"));
  s.out = view(object.attr("output"));
  if (py::hasattr(object, "epilogue")) s.epilogue = epilogue(object.attr("epilogue"), s.out.c);
  if (kind == "Gemm") {
    s.op = Op::kGemm;
    std::tie(s.kernel_h, s.kernel_w) = field<Two>(object, "kernel");
    require(s.kernel_h >= 1 && s.kernel_w >= 1, "a kernel without taps");
    std::vector<Phase>& phases = phases_.emplace_back();
    for (const auto item : object.attr("phases")) {
      const auto phase = py::reinterpret_borrow<py::object>(item);
      phases.push_back({read_axis(phase.attr("y")), read_axis(phase.attr("x"))});
    }
    s.phases = phases.data();
    s.phase_count = static_cast<int32_t>(phases.size());
    s.weight = constant(object.attr("weight"), product({s.out.c, s.kernel_h, s.kernel_w, s.in.c}),
                        true);
    s.bias = optional_constant(object.attr("bias"), s.out.c);
    s.direct_only = field<bool>(object, "direct_only");
  } else if (kind == "MaxPool") {
    s.op = Op::kMaxPool;
    std::tie(s.pool.kernel_h, s.pool.kernel_w) = field<Two>(object, "kernel");
    std::tie(s.pool.stride_h, s.pool.stride_w) = field<Two>(object, "stride");
    s.pool.pad_top = field<int32_t>(object, "pad_top");
    s.pool.pad_left = field<int32_t>(object, "pad_left");
  } else if (kind == "InstanceNorm") {
    s.op = Op::kInstanceNorm;
    s.weight = constant(object.attr("gamma"), s.out.c, false);
    s.bias = constant(object.attr("beta"), s.out.c, false);
    s.eps = field<float>(object, "eps");
  } else if (kind == "Softmax") {
    s.op = Op::kSoftmax;
  } else if (kind == "Upsample") {
    s.op = Op::kUpsample;
  } else if (kind == "Pointwise") {
    s.op = Op::kPointwise;
  } else if (kind == "ArgMax") {
    s.op = Op::kArgMax;
  } else if (kind == "GlobalAvgPool") {
    s.op = Op::kGlobalAvgPool;
  } else {
    throw py::type_error("program: unknown step " + kind);
  }
  check_step(s, program_);
  return s;
}

}  // namespace facegen
