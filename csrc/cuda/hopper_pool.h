// Convolutions on Hopper that are max-pooled before they are stored: which pairs of steps one
// kernel can do. All leave formats and buffers apart.
//
// Only maxima that bias and activation cannot change are taken before these: see is_pooled_conv.
#pragma once

#include "program.h"

namespace facegen::cuda::hopper {

// A plain convolution without scale, shift or addition, whose activation is none or ReLU, and a
// plain pool: bias and activation change no order, so they may come after the maxima.
bool is_pooled_conv(const Step& conv, const Step& pool);

// The same with stride 1, and a 2x2 pool of stride 2 that reads nothing outside the convolution.
bool is_pooled_by_two(const Step& conv, const Step& pool);

// hopper_stem.cu: a first convolution of 3 channels and stride 2, and a 3x3 pool of stride 2.
bool stem_suits(const Step& conv, const Step& pool);

// hopper_pool_windows.cu: few channels.
bool pool_windows_suit(const Step& conv, const Step& pool);

// hopper_pool_maps.cu: a multiple of 32 channels.
bool pool_maps_suit(const Step& conv, const Step& pool, bool half);

// hopper_expand_pool.cu: both expands of a fire module, and a 3x3 pool of stride 2.
bool expand_pool_suits(const Step& expand, const Step& pool, bool half);

}  // namespace facegen::cuda::hopper
