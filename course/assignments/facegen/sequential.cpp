// facegen, one loop after another as the layers are defined. Correct, and slow: make it fast.
#include "facegen.h"

#include <cmath>
#include <vector>

namespace {

// out[k] = bias[k] + sum_c in[c] W[c][k]        W: (C, K)
void project(const float* in, const float* weight, const float* bias, int C, int K, float* out) {
  for (int k = 0; k < K; ++k) {
    float sum = bias[k];
    for (int c = 0; c < C; ++c) sum += in[c] * weight[c * K + k];
    out[k] = sum;
  }
}

// In place, a map (pixels, C): y = gamma / sqrt(var + 1e-5) (x - mean) + beta, then ReLU.
void normalize_relu(float* map, const float* parameters, int pixels, int C) {
  const float* beta = parameters;
  const float* gamma = beta + C;
  const float* mean = gamma + C;
  const float* var = mean + C;
  for (int p = 0; p < pixels; ++p) {
    for (int c = 0; c < C; ++c) {
      const float scale = gamma[c] / std::sqrt(var[c] + 1e-5f);
      const float y = scale * (map[p * C + c] - mean[c]) + beta[c];
      map[p * C + c] = y > 0 ? y : 0;
    }
  }
}

// (H, W, C) -> (2H, 2W, K), 5x5, stride 2. Input pixel h reaches output 2h + r - 1 with tap r, so
// output y is reached from h = (y + 1 - r) / 2 where that is whole.      W: (5, 5, K, C)
void transposed_conv(const float* in, const float* weight, const float* bias, int H, int W, int C,
                     int K, float* out) {
  for (int y = 0; y < 2 * H; ++y) {
    for (int x = 0; x < 2 * W; ++x) {
      for (int k = 0; k < K; ++k) {
        float sum = bias[k];
        for (int r = 0; r < 5; ++r) {
          for (int s = 0; s < 5; ++s) {
            if ((y + 1 - r) % 2 != 0 || (x + 1 - s) % 2 != 0) continue;
            const int h = (y + 1 - r) / 2, w = (x + 1 - s) / 2;
            if (h < 0 || h >= H || w < 0 || w >= W) continue;
            for (int c = 0; c < C; ++c) {
              sum += in[(h * W + w) * C + c] * weight[((r * 5 + s) * K + k) * C + c];
            }
          }
        }
        out[(y * 2 * W + x) * K + k] = sum;
      }
    }
  }
}

}  // namespace

void facegen_init() {}

void facegen(int n, const float* network, const float* inputs, float* outputs) {
  constexpr int kChannels[] = {512, 256, 128, 64, 3};
  std::vector<float> map(4 * 4 * 512), next;
  for (int i = 0; i < n; ++i) {
    const float* weights = network;
    const float* bias = weights + 100 * 8192;
    project(inputs + i * 100, weights, bias, 100, 8192, map.data());
    weights = bias + 8192;
    for (int layer = 0, side = 4; layer < 4; ++layer, side *= 2) {
      const int C = kChannels[layer], K = kChannels[layer + 1];
      normalize_relu(map.data(), weights, side * side, C);
      weights += 4 * C;
      next.assign(4 * side * side * K, 0.0f);
      bias = weights + 25 * K * C;
      transposed_conv(map.data(), weights, bias, side, side, C, K, next.data());
      weights = bias + K;
      map.swap(next);
    }
    for (int j = 0; j < 64 * 64 * 3; ++j) outputs[i * 64 * 64 * 3 + j] = std::tanh(map[j]);
    map.assign(4 * 4 * 512, 0.0f);
  }
}

void facegen_fin() {}
