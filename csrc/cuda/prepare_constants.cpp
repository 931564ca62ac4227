// Steps that make the same of every image.
//
// A norm over the one pixel of a 1x1 map has variance 0 and gives its beta, whatever it reads (here
// also where that is not finite). So nobody needs its input, and what is computed from its output
// alone need not be computed again: in pix2pix encoder_8 and decoder_8.
#include <algorithm>
#include <cstddef>
#include <utility>
#include <vector>

#include "cuda/prepare.h"

namespace facegen::cuda {
namespace {

bool in_arena(const PreparedProgram& program, const View& view) {
  return program.buffers[static_cast<std::size_t>(view.buffer)].kind == BufferKind::kArena;
}

bool same(const View& a, const View& b) {
  return a.buffer == b.buffer && a.h == b.h && a.w == b.w && a.c == b.c &&
         a.pixel_stride == b.pixel_stride && a.offset == b.offset;
}

// Steps whose output nobody reads.
void drop_unread(PreparedProgram& program) {
  auto& steps = program.steps;
  const auto is_read = [&](const View& view) {
    return !in_arena(program, view) ||
           std::any_of(steps.begin(), steps.end(), [&](const PreparedStep& reader) {
             return reader.step.in.buffer == view.buffer ||
                    reader.step.epilogue.add.buffer == view.buffer;
           });
  };
  for (std::size_t i = steps.size(); i-- > 0;) {
    if (!is_read(steps[i].step.out)) steps.erase(steps.begin() + static_cast<std::ptrdiff_t>(i));
  }
}

}  // namespace

void replace_norms_of_one_pixel(PreparedProgram& program) {
  for (PreparedStep& prepared : program.steps) {
    Step& step = prepared.step;
    if (step.op != Op::kInstanceNorm || step.in.h * step.in.w != 1 ||
        !in_arena(program, step.out)) {
      continue;
    }
    step.op = Op::kPointwise;  // its bias is beta
    step.in.buffer = -1;
    step.weight = nullptr;
  }
  drop_unread(program);
}

void find_constant_steps(PreparedProgram& program) {
  std::vector<PreparedStep> constant, others;
  const auto is_known = [&](const View& view) {
    return view.buffer < 0 ||
           std::any_of(constant.begin(), constant.end(), [&](const PreparedStep& maker) {
             return same(maker.output(), view) || same(maker.copy, view);
           });
  };
  for (const PreparedStep& prepared : program.steps) {
    const Step& step = prepared.step;
    const bool known = is_known(step.in) && is_known(step.epilogue.add);
    (known && in_arena(program, prepared.output()) ? constant : others).push_back(prepared);
  }
  program.constant_steps = constant.size();
  program.steps = std::move(constant);
  program.steps.insert(program.steps.end(), others.begin(), others.end());
}

}  // namespace facegen::cuda
