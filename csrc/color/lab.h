// sRGB to CIE L*a*b* and back: D65, the 2 degree observer, scikit-image's constants.
//
//   linear = ((v + 0.055) / 1.055)^2.4     where v > 0.04045, else v / 12.92
//   f(t)   = t^(1/3)                       where t > 0.008856, else 7.787 t + 16/116
//   L, a, b = 116 fy - 16, 500 (fx - fy), 200 (fy - fz)      of XYZ over the white point's
//
// a is the difference of two cube roots times 500, so the way there is in double to be within 1e-4;
// the way back is in float. Pixels are interleaved: r, g, b or L, a, b.
#pragma once

#include <cstdint>

namespace facegen {

// L, a, b of pixels in bytes, or in floats from 0 to 1.
void rgb_to_lab(const uint8_t* rgb, int64_t pixels, int threads, float* lab);
void rgb_to_lab(const float* rgb, int64_t pixels, int threads, float* lab);

// L alone: one float a pixel.
void rgb_to_lightness(const uint8_t* rgb, int64_t pixels, int threads, float* lightness);
void rgb_to_lightness(const float* rgb, int64_t pixels, int threads, float* lightness);

// Pixels in bytes (rounded), or in floats; what sRGB cannot show is clamped to 0 .. 1; NaN becomes 0.
void lab_to_rgb(const float* lab, int64_t pixels, int threads, uint8_t* rgb);
void lab_to_rgb(const float* lab, int64_t pixels, int threads, float* rgb);

}  // namespace facegen
