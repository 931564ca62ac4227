// colorizer INPUT NETWORK OUTPUT: files in, files out, and the clock. Handed out as it is.
#include "colorizer.h"

#include "files.h"

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s INPUT.bin NETWORK.bin OUTPUT.bin\n", argv[0]);
    return 2;
  }
  constexpr size_t kPicture = 256 * 256;
  const std::vector<float> input = read_file<float>(argv[1], kPicture);
  const std::vector<float> network = read_network(argv[2], 128964012 / sizeof(float));
  const int n = static_cast<int>(input.size() / kPicture);
  std::vector<float> output(input.size() * 2);
  ColorizerInit();
  const double start = seconds_now();
  Colorize(input.data(), network.data(), output.data(), n);
  const double elapsed = seconds_now() - start;
  write_file(argv[3], output);
  ColorizerFinalize();
  std::printf("Elapsed time : %.6f sec\n", elapsed);
  std::printf("Performance: %f img/s\n", n / elapsed);
  return 0;
}
