#include "cuda/prepare.h"

#include <algorithm>

#include "cuda/hopper_gemm.h"

namespace facegen::cuda {
namespace {

constexpr int64_t kAlignment = 16;  // elements: vectors of 8 and tensor maps need as much

int64_t align(int64_t elements) { return (elements + kAlignment - 1) / kAlignment * kAlignment; }

// Inputs arrive as float32. Those that the Hopper kernel could multiply are first copied into a
// buffer of the arena, which gets the format of its operands.
void stage_inputs(PreparedProgram& program) {
  auto& [steps, buffers, layouts, arena_floats] = program;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Step& step = steps[i];
    const Buffer& from = buffers[static_cast<std::size_t>(step.in.buffer)];
    if (step.op != Op::kGemm || from.kind != BufferKind::kInput || !hopper::suits(step)) continue;
    View staged = step.in;
    staged.buffer = static_cast<int32_t>(buffers.size());
    staged.offset = 0;
    staged.pixel_stride = (staged.c + 7) / 8 * 8;  // the copy engine's 16 bytes
    const int64_t floats = staged.h * staged.w * staged.pixel_stride;
    arena_floats = align(arena_floats);
    buffers.push_back({BufferKind::kArena, 0, floats, arena_floats});
    arena_floats += align(floats);
    Step copy = {};
    copy.op = Op::kPointwise;
    copy.in = step.in;
    copy.out = staged;
    steps[i].in = staged;
    steps.insert(steps.begin() + static_cast<std::ptrdiff_t>(i++), copy);
  }
}

// Whether matrix products alone read the buffer.
bool only_gemms_read(const std::vector<Step>& steps, int buffer) {
  return std::all_of(steps.begin(), steps.end(), [&](const Step& step) {
    return (step.in.buffer != buffer || step.op == Op::kGemm) &&
           (step.op == Op::kSoftmax || step.epilogue.add.buffer != buffer);
  });
}

// Formats of all buffers. What only GEMMs read is stored as they multiply it.
void choose_layouts(PreparedProgram& program, Precision precision, bool tensor_cores) {
  for (std::size_t b = 0; b < program.buffers.size(); ++b) {
    const Buffer& buffer = program.buffers[b];
    Layout layout = {Format::kFloat32, buffer.floats};
    if (buffer.kind == BufferKind::kArena) {
      layout.image_stride = align(buffer.floats);
      if (precision == Precision::kFloat16) layout.format = Format::kHalf;
      if (precision == Precision::kFloat32 && tensor_cores &&
          only_gemms_read(program.steps, static_cast<int>(b))) {
        layout.format = Format::kSplit;
      }
      program.arena_floats =
          std::max(program.arena_floats, buffer.arena_offset + layout.image_stride);
    }
    program.layouts.push_back(layout);
  }
}

}  // namespace

PreparedProgram prepare(const Program& program, Precision precision, const std::string& kernels,
                        int major) {
  PreparedProgram prepared = {{program.steps, program.steps + program.step_count},
                              {program.buffers, program.buffers + program.buffer_count},
                              {},
                              program.arena_floats};
  const bool split_or_half =
      precision == Precision::kFloat32 || precision == Precision::kFloat16;
  if (kernels == "auto" && split_or_half && major == 9) stage_inputs(prepared);
  choose_layouts(prepared, precision, kernels != "fma");
  return prepared;
}

}  // namespace facegen::cuda
