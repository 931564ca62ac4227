#include "read_program.h"

#include <stdexcept>
#include <string>

namespace py = pybind11;

namespace facegen {
namespace {

template <typename T>
T field(const py::object& object, const char* name) {
  return object.attr(name).cast<T>();
}

Axis read_axis(const py::object& axis) {
  return {field<int32_t>(axis, "out"),        field<int32_t>(axis, "step"),
          field<int32_t>(axis, "dir"),        field<int32_t>(axis, "base"),
          field<int32_t>(axis, "taps"),       field<int32_t>(axis, "first_tap"),
          field<int32_t>(axis, "tap_step"),   field<int32_t>(axis, "out_origin"),
          field<int32_t>(axis, "out_step")};
}

// The engines trust a Program; this is where a wrong one stops.
void require(bool fits, const std::string& what) {
  if (!fits) throw py::value_error("program: " + what);
}

void check_axis(const Axis& axis, int kernel, int out) {
  require(axis.out >= 0 && axis.taps >= 0 && axis.step >= 1 && axis.out_step >= 1,
          "an axis has a negative count or a step below 1");
  if (axis.taps > 0) {
    const int last = axis.first_tap + (axis.taps - 1) * axis.tap_step;
    require(axis.first_tap >= 0 && axis.first_tap < kernel && last >= 0 && last < kernel,
            "an axis takes a weight tap outside the kernel");
  }
  require(axis.out == 0 || (axis.out_origin >= 0 &&
                            axis.out_origin + int64_t{axis.out - 1} * axis.out_step < out),
          "an axis writes outside its output");
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
  const auto arena_floats = field<int64_t>(object, "arena_floats");
  for (const Buffer& buffer : buffers_) {
    require(buffer.floats >= 0 && buffer.index >= 0, "a buffer has a negative size or index");
    require(buffer.kind != BufferKind::kArena ||
                (buffer.arena_offset >= 0 && buffer.arena_offset + buffer.floats <= arena_floats),
            "a buffer lies outside the arena");
  }
  for (const auto item : object.attr("steps")) {
    steps_.push_back(step(py::reinterpret_borrow<py::object>(item)));
  }
  program_ = {steps_.data(), static_cast<int32_t>(steps_.size()), buffers_.data(),
              static_cast<int32_t>(buffers_.size()), arena_floats};
  constants_ = py::dict();
}

void ProgramStorage::release_weights() { packed_only_.clear(); }

const float* ProgramStorage::optional_constant(const py::object& name, int64_t size) {
  return name.is_none() ? nullptr : constant(name, size, false);
}

const float* ProgramStorage::constant(const py::object& name, int64_t size, bool packed_only) {
  require(!name.is_none(), "a step lacks a constant that it cannot do without");
  const auto text = name.cast<std::string>();
  require(constants_.contains(name), "constant " + text + " is missing");
  const py::object value = constants_[name];
  if (!py::isinstance<Constant>(value)) {
    throw py::type_error("program: constant " + text + " must be a C-contiguous float32 array");
  }
  const auto array = py::reinterpret_borrow<Constant>(value);
  require(array.size() == size, "constant " + text + " has " + std::to_string(array.size()) +
                                    " values, expected " + std::to_string(size));
  (packed_only ? packed_only_ : kept_).push_back(array);
  return array.data();
}

void ProgramStorage::check(const View& v, const char* what) const {
  require(v.buffer >= 0 && v.buffer < static_cast<int32_t>(buffers_.size()),
          std::string(what) + " names no buffer");
  require(v.h >= 1 && v.w >= 1 && v.c >= 1 && v.pixel_stride >= v.c && v.offset >= 0,
          std::string(what) + " has an impossible shape");
  const int64_t end = v.offset + (int64_t{v.h} * v.w - 1) * v.pixel_stride + v.c;
  require(end <= buffers_[static_cast<std::size_t>(v.buffer)].floats,
          std::string(what) + " lies outside its buffer");
}

View ProgramStorage::view(const py::object& object) const {
  const View v = {field<int32_t>(object, "buffer"),       field<int32_t>(object, "height"),
                  field<int32_t>(object, "width"),        field<int32_t>(object, "channels"),
                  field<int64_t>(object, "pixel_stride"), field<int64_t>(object, "offset")};
  check(v, "a view");
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
  const auto kind = py::type::of(object).attr("__name__").cast<std::string>();
  Step s{};
  s.in = view(object.attr("input"));
  s.out = view(object.attr("output"));
  require(buffers_[static_cast<std::size_t>(s.out.buffer)].kind != BufferKind::kInput,
          "a step writes into an input");
  if (py::hasattr(object, "epilogue")) {
    s.epilogue = epilogue(object.attr("epilogue"), s.out.c);
    const View& add = s.epilogue.add;
    require(add.buffer < 0 || (add.h == s.out.h && add.w == s.out.w && add.c == s.out.c),
            "an addition of another shape");
  }
  const bool same_channels = s.in.c == s.out.c;
  const bool same_map = s.in.h == s.out.h && s.in.w == s.out.w;
  if (kind == "Gemm") {
    s.op = Op::kGemm;
    const auto kernel = object.attr("kernel").cast<std::pair<int, int>>();
    s.kernel_h = kernel.first;
    s.kernel_w = kernel.second;
    require(s.kernel_h >= 1 && s.kernel_w >= 1, "a kernel without taps");
    std::vector<Phase>& phases = phases_.emplace_back();
    for (const auto item : object.attr("phases")) {
      const auto phase = py::reinterpret_borrow<py::object>(item);
      phases.push_back({read_axis(phase.attr("y")), read_axis(phase.attr("x"))});
      check_axis(phases.back().y, s.kernel_h, s.out.h);
      check_axis(phases.back().x, s.kernel_w, s.out.w);
    }
    s.phases = phases.data();
    s.phase_count = static_cast<int32_t>(phases.size());
    s.weight = constant(object.attr("weight"),
                        int64_t{s.out.c} * s.kernel_h * s.kernel_w * s.in.c, true);
    s.bias = optional_constant(object.attr("bias"), s.out.c);
    s.direct_only = field<bool>(object, "direct_only");
  } else if (kind == "MaxPool") {
    s.op = Op::kMaxPool;
    const auto kernel = object.attr("kernel").cast<std::pair<int, int>>();
    const auto stride = object.attr("stride").cast<std::pair<int, int>>();
    s.pool = {kernel.first,  kernel.second, stride.first, stride.second,
              field<int32_t>(object, "pad_top"), field<int32_t>(object, "pad_left")};
    require(same_channels, "max-pool changes the channels");
  } else if (kind == "InstanceNorm") {
    s.op = Op::kInstanceNorm;
    s.weight = constant(object.attr("gamma"), s.out.c, false);
    s.bias = constant(object.attr("beta"), s.out.c, false);
    s.eps = field<float>(object, "eps");
    require(same_channels && same_map, "instance norm changes the shape");
  } else if (kind == "Softmax") {
    s.op = Op::kSoftmax;
    require(same_channels && same_map, "softmax changes the shape");
  } else if (kind == "Upsample") {
    s.op = Op::kUpsample;
    require(same_channels, "upsample changes the channels");
  } else if (kind == "Pointwise") {
    s.op = Op::kPointwise;
    require(same_channels && same_map, "a pointwise step changes the shape");
  } else if (kind == "ArgMax") {
    s.op = Op::kArgMax;
    require(same_map && s.out.c == 1, "argmax gives one channel of the same map");
  } else if (kind == "GlobalAvgPool") {
    s.op = Op::kGlobalAvgPool;
    require(same_channels && s.out.h == 1 && s.out.w == 1, "global average pool gives one pixel");
  } else {
    throw py::type_error("program: unknown step " + kind);
  }
  return s;
}

}  // namespace facegen
