#include "cpu/fft.h"

#include <algorithm>

#include "divide_up.h"
#include "threads.h"

namespace facegen::cpu {
namespace {

// What V and M of the tiles that are computed together may take: a part of the outer cache.
constexpr int64_t kBlockBytes = int64_t{12} << 20;

// Frequencies of a task, and tiles of one that are transformed: what their products take is little.
constexpr int kTaskProducts = 24;

// Columns that are transformed back together: their sums stay in L2.
constexpr int64_t kFinishColumns = 32;

}  // namespace

int64_t Fft::block_tiles(int64_t tiles) const {
  const int64_t tile_bytes = 4 * (v_rows_ * kMaxDepth + products() * columns());
  const int64_t most = std::max<int64_t>(kernels_.tile_rows, kBlockBytes / tile_bytes);
  return divide_up(tiles, divide_up(tiles, most));
}

void Fft::run(int64_t images, Images in, Images out, Images add, int threads) const {
  static thread_local Scratch v_scratch, m_scratch;
  const int64_t all = images * tiles_y_ * tiles_x_;
  if (all == 0) return;
  const int64_t most = block_tiles(all);
  float* const v = v_scratch.get<float>(most * v_rows_ * kMaxDepth);
  float* const m = m_scratch.get<float>(products() * product_stride(most));
  for (int64_t first = 0; first < all; first += most) {
    const Block block = {first, std::min(most, all - first), v, m};
    const auto stretches = static_cast<int64_t>(stretches_.size());
    parallel_for(block.tiles * stretches, threads, [&](int64_t task, int) {
      transform(block, task / stretches, stretches_[static_cast<std::size_t>(task % stretches)], in);
    });
    parallel_for(divide_up(products(), kTaskProducts), threads, [&](int64_t task, int) {
      if (kernels_.begin_task != nullptr) kernels_.begin_task();
      const int end = std::min(products(), static_cast<int>(task + 1) * kTaskProducts);
      for (int p = static_cast<int>(task) * kTaskProducts; p < end; ++p) multiply(block, p);
      if (kernels_.end_task != nullptr) kernels_.end_task();
    });
    parallel_for(block.tiles, threads,
                 [&](int64_t tile, int) { finish(block, tile, out, add); });
  }
}

// Panels of few channels lie side by side in the kMaxDepth floats of a row.
float* Fft::v_panel(const Block& block, const Stretch& stretch, int product) const {
  return block.v + (stretch.panels + product / stretch.beside) * block.tiles * kMaxDepth +
         product % stretch.beside * stretch.channels;
}

void Fft::transform(const Block& block, int64_t tile, const Stretch& stretch, Images in) const {
  static thread_local Scratch pixel_scratch, zero_scratch, panel_scratch, work_scratch;
  auto** pixels = pixel_scratch.get<const float*>(int64_t{1} * size_ * size_);
  auto* is_zero = zero_scratch.get<bool>(size_ / 2);
  auto** panels = panel_scratch.get<float*>(products());
  const int64_t index = block.first + tile;
  const int64_t image = index / (tiles_y_ * tiles_x_);
  const int64_t iy = index / tiles_x_ % tiles_y_ * tile_h_ + y_.low;
  const int64_t ix = index % tiles_x_ * tile_w_ + x_.low;
  const float* const map = in.data + image * in.image_stride;
  for (int py = 0; py < size_; ++py) {
    const bool inside_y = iy + py >= 0 && iy + py < in_.h;
    is_zero[py / 2] = !inside_y && (py % 2 == 0 || is_zero[py / 2]);
    for (int px = 0; px < size_; ++px) {
      const bool inside = inside_y && ix + px >= 0 && ix + px < in_.w;
      pixels[py * size_ + px] =
          inside ? map + ((iy + py) * in_.w + ix + px) * in_.pixel_stride : nullptr;
    }
  }
  for (int p = 0; p < products(); ++p) panels[p] = v_panel(block, stretch, p);
  FftForward forward = {};
  forward.size = size_;
  forward.pixels = pixels;
  forward.is_zero_pair = is_zero;
  forward.first_channel = stretch.first;
  forward.channels = stretch.channels;
  forward.panels = panels;
  forward.offset = tile * kMaxDepth;
  forward.work = work_scratch.get<float>(int64_t{1} * size_ * size_ * kernels_.panel_columns);
  kernels_.fft_forward(forward);
}

void Fft::multiply(const Block& block, int product) const {
  float* const m = block.m + product * product_stride(block.tiles);
  for (const Stretch& stretch : stretches_) {
    const int64_t bytes = panels_ * kernels_.weight_panel_bytes(stretch.channels);
    const char* const weights = packed_.get() + stretch.weights + product * bytes;
    kernels_.multiply_rows({static_cast<int>(block.tiles), stretch.channels,
                            v_panel(block, stretch, product), weights, panels_, m, columns(),
                            stretch.first > 0, weights + bytes});
  }
}

void Fft::finish(const Block& block, int64_t tile, Images out, Images add) const {
  static thread_local Scratch sum_scratch, work_scratch;
  const int64_t index = block.first + tile;
  const int64_t image = index / (tiles_y_ * tiles_x_);
  const int64_t first_y = index / tiles_x_ % tiles_y_ * tile_h_;
  const int64_t first_x = index % tiles_x_ * tile_w_;
  FftInverse inverse = {};
  inverse.size = size_;
  inverse.product_stride = product_stride(block.tiles);
  inverse.rows = static_cast<int>(std::min<int64_t>(tile_h_, y_.outputs - first_y));
  inverse.row_outputs = static_cast<int>(std::min<int64_t>(tile_w_, x_.outputs - first_x));
  inverse.sums = sum_scratch.get<float>(int64_t{1} * tile_h_ * tile_w_ * kFinishColumns);
  inverse.work = work_scratch.get<float>(int64_t{1} * size_ * size_ * kernels_.panel_columns);
  for (int64_t begin = 0; begin < columns(); begin += kFinishColumns) {
    inverse.products = block.m + tile * columns() + begin;
    inverse.columns = static_cast<int>(std::min(kFinishColumns, columns() - begin));
    kernels_.fft_inverse(inverse);
    for (int64_t column = begin; column < begin + inverse.columns;) {
      const int64_t number = column / writer_.out.c, channel = column % writer_.out.c;
      if (number == static_cast<int64_t>(phases_.size())) break;
      const int64_t count = std::min(writer_.out.c - channel, begin + inverse.columns - column);
      const auto& [y, x] = phases_[static_cast<std::size_t>(number)];
      for (int64_t j = 0; j < inverse.rows && first_y + j < y.out; ++j) {
        for (int64_t i = 0; i < inverse.row_outputs && first_x + i < x.out; ++i) {
          const float* const sums =
              inverse.sums + (j * inverse.row_outputs + i) * inverse.columns + column - begin;
          writer_.write(sums, out, add, image, y.out_origin + (first_y + j) * y.out_step,
                        x.out_origin + (first_x + i) * x.out_step, static_cast<int>(channel),
                        static_cast<int>(count));
        }
      }
      column += count;
    }
  }
}

Costs Fft::costs() const {
  Costs costs;
  const int64_t tiles = block_tiles(int64_t{tiles_y_} * tiles_x_);
  costs.scratch_bytes = 4 * (tiles * v_rows_ * kMaxDepth + products() * product_stride(tiles) +
                             int64_t{2} * size_ * size_ * kernels_.panel_columns +
                             int64_t{tile_h_} * tile_w_ * kFinishColumns) +
                        int64_t{1} * size_ * size_ * int64_t{sizeof(float*)};
  costs.weight_bytes = packed_bytes_;
  costs.multiplications = static_cast<double>(tiles_y_) * tiles_x_ * products() * in_.c *
                          static_cast<double>(phases_.size()) * writer_.out.c;
  return costs;
}

}  // namespace facegen::cpu
