// pix2pix, one loop after another as the layers are defined. Correct, and slow: make it fast.
#include "pix2pix.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace {

struct Map {  // (side, side, channels)
  int side, channels;
  std::vector<float> values;
  Map(int side_, int channels_)
      : side(side_), channels(channels_), values(size_t(side_) * side_ * channels_) {}
};

struct Layer {  // beta and gamma are null where there is no norm
  const float *beta, *gamma, *bias, *kernel;
};

constexpr int kEncoder[] = {3, 64, 128, 256, 512, 512, 512, 512, 512};
constexpr int kDecoder[] = {3, 64, 128, 256, 512, 512, 512, 512};

// 4x4, stride 2, pad 1.      kernel: (4, 4, C, K)
Map conv(const Map& in, const Layer& layer, int K) {
  const int S = in.side, C = in.channels;
  Map out(S / 2, K);
  for (int y = 0; y < out.side; ++y) {
    for (int x = 0; x < out.side; ++x) {
      float* sums = &out.values[(y * out.side + x) * K];
      std::copy_n(layer.bias, K, sums);
      for (int r = 0; r < 4; ++r) {
        for (int s = 0; s < 4; ++s) {
          const int h = 2 * y + r - 1, w = 2 * x + s - 1;
          if (h < 0 || h >= S || w < 0 || w >= S) continue;
          for (int c = 0; c < C; ++c) {
            const float value = in.values[(h * S + w) * C + c];
            const float* weights = &layer.kernel[size_t((r * 4 + s) * C + c) * K];
            for (int k = 0; k < K; ++k) sums[k] += value * weights[k];
          }
        }
      }
    }
  }
  return out;
}

// 4x4, stride 2, pad 1: input h reaches output 2h + r - 1.      kernel: (4, 4, K, C)
Map transposed_conv(const Map& in, const Layer& layer, int K) {
  const int S = in.side, C = in.channels;
  Map out(2 * S, K);
  for (int y = 0; y < out.side; ++y) {
    for (int x = 0; x < out.side; ++x) {
      for (int k = 0; k < K; ++k) {
        float sum = layer.bias[k];
        for (int r = 0; r < 4; ++r) {
          for (int s = 0; s < 4; ++s) {
            if ((y + 1 - r) % 2 != 0 || (x + 1 - s) % 2 != 0) continue;
            const int h = (y + 1 - r) / 2, w = (x + 1 - s) / 2;
            if (h < 0 || h >= S || w < 0 || w >= S) continue;
            for (int c = 0; c < C; ++c) {
              sum += in.values[(h * S + w) * C + c] * layer.kernel[((r * 4 + s) * K + k) * C + c];
            }
          }
        }
        out.values[(y * out.side + x) * K + k] = sum;
      }
    }
  }
  return out;
}

// In place, by the mean and the variance of each channel of this very map.
void normalize(Map& map, const Layer& layer) {
  const int pixels = map.side * map.side, C = map.channels;
  for (int c = 0; c < C; ++c) {
    double sum = 0.0, squares = 0.0;
    for (int p = 0; p < pixels; ++p) sum += map.values[p * C + c];
    const double mean = sum / pixels;
    for (int p = 0; p < pixels; ++p) {
      const double gap = map.values[p * C + c] - mean;
      squares += gap * gap;
    }
    const float scale = layer.gamma[c] / std::sqrt(static_cast<float>(squares / pixels) + 1e-5f);
    for (int p = 0; p < pixels; ++p) {
      float& value = map.values[p * C + c];
      value = scale * (value - static_cast<float>(mean)) + layer.beta[c];
    }
  }
}

void leaky_relu(Map& map, float slope) {
  for (float& value : map.values) value = value > 0 ? value : slope * value;
}

Map concat(const Map& a, const Map& b) {
  Map out(a.side, a.channels + b.channels);
  for (int p = 0; p < a.side * a.side; ++p) {
    float* to = &out.values[size_t(p) * out.channels];
    to = std::copy_n(&a.values[size_t(p) * a.channels], a.channels, to);
    std::copy_n(&b.values[size_t(p) * b.channels], b.channels, to);
  }
  return out;
}

// beta, gamma, moving mean, moving variance (not used), bias, kernel; of the first layers less.
const float* read_layer(const float* at, bool norm, int C, int K, Layer& layer) {
  layer.beta = norm ? at : nullptr;
  layer.gamma = norm ? at + K : nullptr;
  layer.bias = norm ? at + 4 * K : at;
  layer.kernel = layer.bias + K;
  return layer.kernel + size_t(16) * C * K;
}

void translate(const uint8_t* input, const Layer* decoder, const Layer* encoder, uint8_t* output) {
  std::vector<Map> encoded(9, Map(0, 0));
  Map map(256, 3);
  for (size_t i = 0; i < map.values.size(); ++i) map.values[i] = input[i] / 255.0f * 2 - 1;
  for (int i = 1; i <= 8; ++i) {
    if (i > 1) leaky_relu(map, 0.2f);
    map = conv(map, encoder[i], kEncoder[i]);
    if (i > 1) normalize(map, encoder[i]);
    encoded[i] = map;
  }
  for (int i = 8; i >= 1; --i) {
    if (i < 8) map = concat(map, encoded[i]);
    leaky_relu(map, 0.0f);
    map = transposed_conv(map, decoder[i], kDecoder[i - 1]);
    if (i > 1) normalize(map, decoder[i]);
  }
  for (size_t i = 0; i < map.values.size(); ++i) {
    const float value = (std::tanh(map.values[i]) + 1) / 2 * 255;
    output[i] = static_cast<uint8_t>(std::min(std::max(value, 0.0f), 255.0f));
  }
}

}  // namespace

void pix2pix_init() {}

void pix2pix(const uint8_t* input, const float* network, uint8_t* output, size_t n) {
  Layer decoder[9], encoder[9];
  for (int i = 1; i <= 8; ++i) {
    const int C = i == 8 ? kEncoder[8] : kDecoder[i] + kEncoder[i];
    network = read_layer(network, i > 1, C, kDecoder[i - 1], decoder[i]);
  }
  for (int i = 1; i <= 8; ++i) {
    network = read_layer(network, i > 1, kEncoder[i - 1], kEncoder[i], encoder[i]);
  }
  for (size_t i = 0; i < n; ++i) {
    translate(input + i * 256 * 256 * 3, decoder, encoder, output + i * 256 * 256 * 3);
  }
}

void pix2pix_fin() {}
