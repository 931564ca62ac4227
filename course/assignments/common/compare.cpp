// compare OUTPUT ANSWER: do two results agree? Exit code 0 if so, 1 if not, 2 if one is no result.
//
//   *.txt   faces as text: a count, then 64*64*3 numbers each   |a-b| < 1e-3 or |a-b| < 1e-3 |b|
//   *.bin   float32, a and b of pictures                        |a-b| <= 1e-3
//   *.rgb   bytes                                               |a-b| <= 1: values that agree may
//                                                               be truncated to neighbours
#include <cmath>
#include <cstdint>
#include <cstring>

#include "files.h"

namespace {

struct Result {
  std::vector<double> values;
  int height, width, channels;  // of one picture, to say where it differs
};

bool ends_with(const std::string& name, const char* extension) {
  const size_t length = std::strlen(extension);
  return name.size() >= length && name.compare(name.size() - length, length, extension) == 0;
}

std::vector<double> read_text(const std::string& path) {
  FILE* file = std::fopen(path.c_str(), "r");
  if (file == nullptr) fail(path, "cannot be opened");
  long count = 0;
  if (std::fscanf(file, "%ld", &count) != 1 || count < 0) fail(path, "expected a count of faces");
  std::vector<double> values;
  for (double value; std::fscanf(file, "%lf", &value) == 1;) values.push_back(value);
  std::fclose(file);
  if (values.size() != static_cast<size_t>(count) * 64 * 64 * 3) {
    fail(path, "expected " + std::to_string(count) + " faces of 12288 numbers, found " +
                   std::to_string(values.size()) + " numbers");
  }
  return values;
}

Result read_result(const std::string& path) {
  if (ends_with(path, ".bin")) {
    const std::vector<float> values = read_file<float>(path, 2 * 256 * 256);
    return {{values.begin(), values.end()}, 2 * 256, 256, 1};
  }
  if (ends_with(path, ".rgb")) {
    const std::vector<uint8_t> values = read_file<uint8_t>(path, 256 * 256 * 3);
    return {{values.begin(), values.end()}, 256, 256, 3};
  }
  return {read_text(path), 64, 64, 3};
}

bool agree(const std::string& path, double a, double b) {
  if (ends_with(path, ".rgb")) return std::fabs(a - b) <= 1;
  const double gap = std::fabs(a - b);
  if (ends_with(path, ".bin")) return gap <= 1e-3;
  return gap < 1e-3 || gap < 1e-3 * std::fabs(b);  // neither is true of NaN
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s OUTPUT ANSWER\n", argv[0]);
    return 2;
  }
  const std::string path = argv[1];
  const Result output = read_result(path), answer = read_result(argv[2]);
  if (output.values.size() != answer.values.size()) {
    std::printf("different: %zu values, expected %zu\n", output.values.size(),
                answer.values.size());
    return 1;
  }
  for (size_t i = 0; i < output.values.size(); ++i) {
    const double a = output.values[i], b = answer.values[i];
    if (agree(path, a, b)) continue;
    const size_t size = static_cast<size_t>(output.height) * output.width * output.channels;
    const size_t at = i % size;
    std::printf("different: image %zu, pixel (%zu, %zu, %zu): %g, expected %g\n", i / size,
                at / output.channels / output.width, at / output.channels % output.width,
                at % output.channels, a, b);
    return 1;
  }
  std::printf("same: %zu values\n", output.values.size());
  return 0;
}
