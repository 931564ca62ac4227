#include "color/lab.h"

#include <cmath>
#include <cstdint>
#include <vector>

#include "check.h"

using namespace facegen;

namespace {

// Colours all over the cube, interleaved.
std::vector<uint8_t> colours() {
  std::vector<uint8_t> rgb;
  for (int r = 0; r < 256; r += 5) {
    for (int g = 0; g < 256; g += 3) {
      for (int b = 0; b < 256; b += 5) {
        for (int v : {r, g, b}) rgb.push_back(static_cast<uint8_t>(v));
      }
    }
  }
  return rgb;
}

void test_there_and_back() {
  const std::vector<uint8_t> rgb = colours();
  const int64_t pixels = static_cast<int64_t>(rgb.size()) / 3;
  for (int threads : {1, 3}) {
    // One value more than is written, at the end of each.
    std::vector<float> lab(rgb.size() + 1, -1.0f), lightness(rgb.size() / 3 + 1, -1.0f);
    std::vector<uint8_t> back(rgb.size() + 1, 7);
    rgb_to_lab(rgb.data(), pixels, threads, lab.data());
    rgb_to_lightness(rgb.data(), pixels, threads, lightness.data());
    lab_to_rgb(lab.data(), pixels, threads, back.data());
    CHECK(lab.back() == -1.0f && lightness.back() == -1.0f && back.back() == 7);
    for (size_t i = 0; i < rgb.size(); ++i) CHECK(back[i] == rgb[i]);
    for (size_t i = 0; i + 1 < lightness.size(); ++i) CHECK(lightness[i] == lab[3 * i]);
  }
}

void test_known_colours() {
  const float rgb[] = {0, 0, 0, 1, 1, 1, 1, 0, 0};
  // scikit-image's rgb2lab.
  const double expected[] = {0, 0, 0, 100, -0.00244, 0.00465, 53.24059, 80.09231, 67.20275};
  float lab[9];
  rgb_to_lab(rgb, 3, 1, lab);
  for (int i = 0; i < 9; ++i) CHECK(std::fabs(lab[i] - expected[i]) < 2e-5);
}

void test_no_pixels() { rgb_to_lab(static_cast<const uint8_t*>(nullptr), 0, 2, nullptr); }

}  // namespace

int main() {
  test_there_and_back();
  test_known_colours();
  test_no_pixels();
}
