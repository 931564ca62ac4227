// facegen NETWORK INPUT OUTPUT IMAGE: files in, files out, and the clock. Handed out as it is.
#include "facegen.h"

#include <cmath>
#include <cstdint>

#include "files.h"

int num_to_gen = 0;

namespace {

constexpr int kLatent = 100, kSide = 64, kChannels = 3;
constexpr int kFace = kSide * kSide * kChannels;
constexpr size_t kWeights = 20549132 / sizeof(float);

std::vector<float> read_inputs(const std::string& path) {
  FILE* file = std::fopen(path.c_str(), "r");
  if (file == nullptr) fail(path, "cannot be opened");
  if (std::fscanf(file, "%d", &num_to_gen) != 1 || num_to_gen < 1 || num_to_gen > 1000000) {
    fail(path, "expected the number of faces");
  }
  std::vector<float> inputs(static_cast<size_t>(num_to_gen) * kLatent);
  for (float& value : inputs) {
    if (std::fscanf(file, "%f", &value) != 1) fail(path, "ends before its last number");
  }
  std::fclose(file);
  return inputs;
}

void write_outputs(const std::string& path, const std::vector<float>& outputs) {
  FILE* file = std::fopen(path.c_str(), "w");
  if (file == nullptr) fail(path, "cannot be opened");
  std::fprintf(file, "%d\n", num_to_gen);
  for (size_t i = 0; i < outputs.size(); ++i) {
    std::fprintf(file, "%.4f ", static_cast<double>(outputs[i]));
    if (i % kFace == kFace - 1) std::fputc('\n', file);
  }
  if (std::fclose(file) != 0) fail(path, "cannot be written");
}

void put_little_endian(std::vector<uint8_t>& bytes, size_t at, uint32_t value) {
  for (int i = 0; i < 4; ++i) bytes[at + i] = static_cast<uint8_t>(value >> (8 * i));
}

// All faces in a square of tiles, as a BMP of 24 bits whose rows go from the bottom up.
void write_image(const std::string& path, const std::vector<float>& outputs) {
  const int tiles = static_cast<int>(std::ceil(std::sqrt(num_to_gen)));
  const int side = tiles * kSide;
  std::vector<uint8_t> bmp(54 + static_cast<size_t>(side) * side * 3, 0);
  bmp[0] = 'B', bmp[1] = 'M', bmp[10] = 54, bmp[14] = 40, bmp[26] = 1, bmp[28] = 24;
  put_little_endian(bmp, 2, static_cast<uint32_t>(bmp.size()));
  put_little_endian(bmp, 18, side);
  put_little_endian(bmp, 22, side);
  put_little_endian(bmp, 34, static_cast<uint32_t>(bmp.size() - 54));
  for (int n = 0; n < num_to_gen; ++n) {
    for (int i = 0; i < kFace; ++i) {
      const int y = n / tiles * kSide + i / kChannels / kSide;
      const int x = n % tiles * kSide + i / kChannels % kSide;
      const float value = outputs[static_cast<size_t>(n) * kFace + i];
      const size_t at = 54 + (static_cast<size_t>(side - 1 - y) * side + x) * 3 + 2 - i % kChannels;
      bmp[at] = static_cast<uint8_t>(static_cast<int>((value + 1) / 2 * 255));
    }
  }
  write_file(path, bmp);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5) {
    std::fprintf(stderr, "usage: %s NETWORK INPUT OUTPUT IMAGE\n", argv[0]);
    return 2;
  }
  const std::vector<float> network = read_network(argv[1], kWeights);
  const std::vector<float> inputs = read_inputs(argv[2]);
  std::vector<float> outputs(static_cast<size_t>(num_to_gen) * kFace);
  facegen_init();
  const double start = seconds_now();
  facegen(num_to_gen, network.data(), inputs.data(), outputs.data());
  const double elapsed = seconds_now() - start;
  write_outputs(argv[3], outputs);
  write_image(argv[4], outputs);
  facegen_fin();
  std::printf("Elapsed time : %.6f sec\n", elapsed);
  return 0;
}
