// pix2pix NETWORK INPUT OUTPUT: files in, files out, and the clock. Handed out as it is.
#include "pix2pix.h"

#include "files.h"

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: %s NETWORK.bin INPUT.rgb OUTPUT.rgb\n", argv[0]);
    return 2;
  }
  constexpr size_t kPicture = 256 * 256 * 3;
  const std::vector<float> network = read_network(argv[1], 217725452 / sizeof(float));
  const std::vector<uint8_t> input = read_file<uint8_t>(argv[2], kPicture);
  const size_t n = input.size() / kPicture;
  std::vector<uint8_t> output(input.size());
  pix2pix_init();
  const double start = seconds_now();
  pix2pix(input.data(), network.data(), output.data(), n);
  const double elapsed = seconds_now() - start;
  write_file(argv[3], output);
  pix2pix_fin();
  std::printf("Elapsed time : %f sec\n", elapsed);
  std::printf("Throughput : %f img / sec\n", static_cast<double>(n) / elapsed);
  return 0;
}
