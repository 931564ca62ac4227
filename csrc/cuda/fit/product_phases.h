// Transposed convolutions of few channels on both sides, as products of one tap: their phases become channels.
//
// Of an axis of stride s, output  p s + r  is phase r of position p. All phases of a position read a short window
// of neighbouring inputs: tap k of the kernel is of one phase r and one pixel u of the window,
//
//   x:     p's window begins at input p + first
//   tap    k = pad + r - s (first + u), where the kernel has it
//
// With xg the windows of x side by side, and Y the output with its phases side by side,
//
//   forward   Y (position; phase, output channel) = xg W^T,   y  = activation(Y + bias), a pixel from each phase
//   input     xg(position; pixel, input channel)  = dY W,     dx = the sum over the windows that have a pixel
//   weight    dW(phase, output channel; pixel, input channel) = dY^T xg
//
// W is (phase, output channel; pixel, input channel), with zeros where a phase has no tap: of kernel 11 and stride
// 4 a quarter more than the weight, where tiles of 64 would have 9 times the products of 21 channels.
#pragma once

#include <cstdint>
#include <optional>

#include "cuda/fit/training_plan.h"
#include "host_device.h"

namespace facegen::cuda::hopper {

struct PhaseAxis {
  int32_t kernel, stride, pad;
  int32_t positions;
  int32_t window, first;

  // Of the kernel; below 0: the phase has none there.
  FACEGEN_HOST_DEVICE int tap(int phase, int pixel) const {
    const int k = pad + phase - stride * (first + pixel);
    return k < kernel ? k : -1;
  }
};

// Lines of W are (phase, output channel), phases being (y, x); its columns (pixel, input channel), as pixels.
struct PhaseChannels {
  PhaseAxis y, x;
  int32_t ins, outs;  // of the layer

  FACEGEN_HOST_DEVICE int phases() const { return y.stride * x.stride; }
  FACEGEN_HOST_DEVICE int pixels() const { return y.window * x.window; }
  FACEGEN_HOST_DEVICE int lines() const { return phases() * outs; }
  FACEGEN_HOST_DEVICE int columns() const { return pixels() * ins; }
  // Which number of the weight (output channel, tap, input channel) W has there; below 0: none, a zero.
  FACEGEN_HOST_DEVICE int weight_at(int line, int column) const {
    const int phase = line / outs, out = line - phase * outs;
    const int pixel = column / ins, in = column - pixel * ins;
    const int phase_y = phase / x.stride, pixel_y = pixel / x.window;
    const int tap_y = y.tap(phase_y, pixel_y), tap_x = x.tap(phase - phase_y * x.stride, pixel - pixel_y * x.window);
    if (tap_y < 0 || tap_x < 0) return -1;
    return ((out * y.kernel + tap_y) * x.kernel + tap_x) * ins + in;
  }
};

// Of a step of such a layer, whichever of its products that is; none where the layer is another or has too many
// channels to gain by it.
std::optional<PhaseChannels> find_phases(const TrainingStep& step, const TrainingProgram& program);

// What an input adds up, of windows: tap t is the window's pixel t.
Axis window_sums(const PhaseAxis& axis, int32_t inputs);

}  // namespace facegen::cuda::hopper
