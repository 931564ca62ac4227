// What is asked when a step is fitted to a GPU: the step, how its operands lie, and the GPU.
//
// Nothing under fit/ knows CUDA: a program can be fitted to any GPU where there is none.
#pragma once

#include <cstdint>
#include <string>

#include "host_device.h"
#include "program.h"

namespace facegen::cuda {

enum class Precision : int32_t {
  kFloat32,  // bf16 x 3 on tensor cores: see docs/accuracy.md
  kStrict,   // plain float32 multiply-adds
  kTf32,
  kFloat16,
};

struct Target {
  int major = 0, minor = 0;  // compute capability
  Precision precision = Precision::kFloat32;
  // Which kernels: "auto", or one family of GEMMs alone for tests and comparisons: "mma", "fma".
  std::string kernels = "auto";

  bool half() const { return precision == Precision::kFloat16; }
  // Whether Hopper's own GEMMs may be used.
  bool hopper_gemms() const {
    return major == 9 && kernels == "auto" && (half() || precision == Precision::kFloat32);
  }
  // Of buffers that others than GEMMs read, and that GEMMs alone do.
  Format value_format() const { return half() ? Format::kHalf : Format::kFloat32; }
  Format operand_format() const {
    if (half()) return Format::kHalf;
    const bool split = precision == Precision::kFloat32 && kernels != "fma";
    return split ? Format::kSplit : Format::kFloat32;
  }
};

// How the images of a buffer lie.
struct Layout {
  Format format;
  int64_t image_stride;  // elements from an image to the next
};

// Vectors of 8 and tensor maps need images in the arena to begin at multiples of 16 elements.
inline Layout layout_of(const Buffer& buffer) {
  const bool arena = buffer.kind == BufferKind::kArena;
  return {buffer.format, arena ? (buffer.floats + 15) / 16 * 16 : buffer.floats};
}

struct StepFit {
  const Step& step;
  Layout in, out;
  const Target& target;
};

// What a step may ask for besides its op: a kernel that does not do it must not get the step.
enum Extra : unsigned {
  kNothing = 0,
  kFinish = 1,
  kSoftmaxInput = 2,
  kCentreChannels = 4,
  kCopy = 8,
  kSlices = 16,
  kActivation = 32,  // a quick one that is not common
  kEpilogue = 64,    // more than that
};
// Activations of a few instructions for a sum in registers: activate_run's.
FACEGEN_HOST_DEVICE inline bool is_quick(Activation activation) {
  switch (activation) {
    case Activation::kClip:
    case Activation::kHardSigmoid:
    case Activation::kHardSwish:
    case Activation::kSigmoid:
    case Activation::kSilu: return true;
    default: return activation <= Activation::kTanh;
  }
}
inline unsigned extra_of(const Epilogue& epilogue, const View& map) {
  if (is_common(epilogue, map)) return kNothing;
  Epilogue without = epilogue;
  without.activation = Activation::kNone;
  return is_quick(epilogue.activation) && is_common(without, map) ? kActivation : kEpilogue;
}
inline unsigned extras_of(const Step& step) {
  return (step.finish != nullptr ? kFinish : 0u) | (step.softmax_input ? kSoftmaxInput : 0u) |
         (step.centre_channels ? kCentreChannels : 0u) | (step.copy.buffer >= 0 ? kCopy : 0u) |
         (step.slices ? kSlices : 0u) | extra_of(step.epilogue, map_of(step)) |
         (step.finish != nullptr ? extra_of(step.finish->epilogue, step.out) : 0u);
}

// Whether vectors of `elements` can be read or written of every pixel of a view.
inline bool in_vectors(const View& view, const Layout& layout, int elements) {
  return view.pixel_stride % elements == 0 && view.offset % elements == 0 &&
         layout.image_stride % elements == 0;
}

// And stores of 8 channels do not reach into what a neighbour in a concatenation has.
inline bool in_whole_vectors(const View& view, const Layout& layout) {
  return in_vectors(view, layout, 8) &&
         (view.c % 8 == 0 || (view.offset == 0 && view.pixel_stride == (view.c + 7) / 8 * 8));
}

// Neither scale nor shift nor addition.
inline bool is_sum_and_bias(const Epilogue& e) {
  return e.scale == nullptr && e.shift == nullptr && e.other.buffer < 0;
}

// Whether the step that reads what this one makes is a part of it, and is such an op.
inline bool has_finish(const Step& step, Op op) {
  return step.finish != nullptr && step.finish->op == op;
}

}  // namespace facegen::cuda
