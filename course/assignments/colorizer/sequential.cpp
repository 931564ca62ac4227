// The colorizer, one loop after another as the layers are defined. Correct, and slow: make it fast.
#include "colorizer.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace {

struct Map {  // (channels, side, side)
  int channels, side;
  std::vector<float> values;
  Map(int channels_, int side_)
      : channels(channels_), side(side_), values(size_t(channels_) * side_ * side_) {}
};

struct Reader {  // goes through network.bin
  const float* at;
  const float* take(size_t count) {
    const float* here = at;
    at += count;
    return here;
  }
};

// R x R, pad = dilation (none for 1x1), then ReLU if asked for.   W: (K, C, R, R), bias: (K) or none
Map conv(const Map& in, const float* weight, const float* bias, int K, int R, int stride,
         int dilation, bool relu) {
  const int C = in.channels, S = in.side, pad = R == 1 ? 0 : dilation;
  Map out(K, S / stride);
  for (int k = 0; k < K; ++k) {
    float* plane = &out.values[size_t(k) * out.side * out.side];
    std::fill_n(plane, out.side * out.side, bias ? bias[k] : 0.0f);
    for (int c = 0; c < C; ++c) {
      for (int r = 0; r < R; ++r) {
        for (int s = 0; s < R; ++s) {
          const float w = weight[((k * C + c) * R + r) * R + s];
          const int shift = s * dilation - pad;  // output x reads input x * stride + shift
          const int first = shift < 0 ? (-shift + stride - 1) / stride : 0;
          const int last = std::min(out.side, (S - 1 - shift) / stride + 1);
          for (int y = 0; y < out.side; ++y) {
            const int iy = y * stride + r * dilation - pad;
            if (iy < 0 || iy >= S) continue;
            const float* row = &in.values[(size_t(c) * S + iy) * S];
            float* sums = plane + y * out.side;
            for (int x = first; x < last; ++x) sums[x] += w * row[x * stride + shift];
          }
        }
      }
    }
    for (int p = 0; relu && p < out.side * out.side; ++p) plane[p] = std::max(plane[p], 0.0f);
  }
  return out;
}

// 4x4, stride 2, pad 1, then ReLU: input h reaches output 2h + r - 1.        W: (C, K, 4, 4)
Map transposed_conv_relu(const Map& in, const float* weight, const float* bias, int K) {
  const int C = in.channels, S = in.side;
  Map out(K, 2 * S);
  for (int k = 0; k < K; ++k) {
    for (int y = 0; y < 2 * S; ++y) {
      for (int x = 0; x < 2 * S; ++x) {
        float sum = bias[k];
        for (int c = 0; c < C; ++c) {
          for (int r = 0; r < 4; ++r) {
            for (int s = 0; s < 4; ++s) {
              if ((y + 1 - r) % 2 != 0 || (x + 1 - s) % 2 != 0) continue;
              const int h = (y + 1 - r) / 2, w = (x + 1 - s) / 2;
              if (h < 0 || h >= S || w < 0 || w >= S) continue;
              sum += in.values[(size_t(c) * S + h) * S + w] * weight[((c * K + k) * 4 + r) * 4 + s];
            }
          }
        }
        out.values[(size_t(k) * 2 * S + y) * 2 * S + x] = std::max(sum, 0.0f);
      }
    }
  }
  return out;
}

void normalize(Map& map, const float* gamma, const float* beta, const float* mean,
               const float* var) {
  const int pixels = map.side * map.side;
  for (int c = 0; c < map.channels; ++c) {
    const float scale = gamma[c] / std::sqrt(var[c] + 1e-5f);
    for (int p = 0; p < pixels; ++p) {
      float& value = map.values[size_t(c) * pixels + p];
      value = scale * (value - mean[c]) + beta[c];
    }
  }
}

void softmax(Map& map) {  // over the channels of each pixel
  const int pixels = map.side * map.side;
  for (int p = 0; p < pixels; ++p) {
    float largest = map.values[p], sum = 0.0f;
    for (int c = 1; c < map.channels; ++c) {
      largest = std::max(largest, map.values[size_t(c) * pixels + p]);
    }
    for (int c = 0; c < map.channels; ++c) {
      float& value = map.values[size_t(c) * pixels + p];
      value = std::exp(value - largest);
      sum += value;
    }
    for (int c = 0; c < map.channels; ++c) map.values[size_t(c) * pixels + p] /= sum;
  }
}

// A plane, four times as large: bilinear, centres of pixels at halves, clamped at the edges.
void enlarge(const float* in, int side, float* out) {
  const int large = 4 * side;
  for (int y = 0; y < large; ++y) {
    for (int x = 0; x < large; ++x) {
      const float fy = std::min(std::max((y + 0.5f) / 4 - 0.5f, 0.0f), side - 1.0f);
      const float fx = std::min(std::max((x + 0.5f) / 4 - 0.5f, 0.0f), side - 1.0f);
      const int y0 = int(fy), x0 = int(fx);
      const int y1 = std::min(y0 + 1, side - 1), x1 = std::min(x0 + 1, side - 1);
      const float top = in[y0 * side + x0] * (1 - (fx - x0)) + in[y0 * side + x1] * (fx - x0);
      const float low = in[y1 * side + x0] * (1 - (fx - x0)) + in[y1 * side + x1] * (fx - x0);
      out[y * large + x] = 110.0f * (top * (1 - (fy - y0)) + low * (fy - y0));
    }
  }
}

// Blocks 1 to 7: output channels of each conv; the stride of the last; the dilation of all.
struct Block {
  std::vector<int> outputs;
  int stride, dilation;
};
const Block kBlocks[] = {{{64, 64}, 2, 1},        {{128, 128}, 2, 1},      {{256, 256, 256}, 2, 1},
                         {{512, 512, 512}, 1, 1}, {{512, 512, 512}, 1, 2}, {{512, 512, 512}, 1, 2},
                         {{512, 512, 512}, 1, 1}};

void colorize_one(const float* L, const float* network, float* ab) {
  const float* statistics = network + 128964012 / sizeof(float) - 2 * (64 + 128 + 256 + 4 * 512);
  Reader reader{network};
  Map map(1, 256);
  for (int p = 0; p < 256 * 256; ++p) map.values[p] = (L[p] - 50) / 100;
  for (const Block& block : kBlocks) {
    for (size_t i = 0; i < block.outputs.size(); ++i) {
      const int K = block.outputs[i];
      const int stride = i + 1 == block.outputs.size() ? block.stride : 1;
      const float* weight = reader.take(size_t(K) * map.channels * 9);
      map = conv(map, weight, reader.take(K), K, 3, stride, block.dilation, true);
    }
    const int C = map.channels;
    const float* gamma = reader.take(C);
    const float* beta = reader.take(C);
    normalize(map, gamma, beta, statistics, statistics + C);
    statistics += 2 * C;
  }
  const float* weight = reader.take(512 * 256 * 16);
  map = transposed_conv_relu(map, weight, reader.take(256), 256);
  for (int i = 0; i < 2; ++i) {
    weight = reader.take(256 * 256 * 9);
    map = conv(map, weight, reader.take(256), 256, 3, 1, 1, true);
  }
  weight = reader.take(313 * 256);
  map = conv(map, weight, reader.take(313), 313, 1, 1, 1, false);
  softmax(map);
  map = conv(map, reader.take(2 * 313), nullptr, 2, 1, 1, 1, false);
  for (int c = 0; c < 2; ++c) enlarge(&map.values[c * 64 * 64], 64, ab + c * 256 * 256);
}

}  // namespace

void ColorizerInit() {}

void Colorize(const float* input, const float* network, float* output, int n) {
  for (int i = 0; i < n; ++i) {
    colorize_one(input + i * 256 * 256, network, output + i * 2 * 256 * 256);
  }
}

void ColorizerFinalize() {}
