// The host's part of what the kernels of a fire module's expands share: the packed weights.
#include "cuda/hopper/fire/expand.cuh"

namespace facegen::cuda::hopper {
namespace {

// B of a pair: 64 columns of the 3x3 convolution (row of taps, 16 channels, tap of the row), then
// 64 of the 1x1.
std::vector<uint16_t> pack_pair(const Step& step, ChannelPair channels, bool half) {
  const int blocks = step.in.c / 16;
  const auto weight = [&](int n, int first, int tap, int block, int place) {
    const int channel = first + neighbouring_channel(n);
    const int input = 16 * block + place;
    return step.weight[(int64_t{channel} * 9 + tap) * step.in.c + input];
  };
  std::vector<uint16_t> packed =
      pack_steps(9 * blocks, kExpandColumns, half, [&](int i, int place, int n) {
        const int tap = i / 3 / blocks * 3 + i % 3;
        return weight(n, channels.large, tap, i / 3 % blocks, place);
      });
  const auto one = pack_steps(blocks, kExpandColumns, half, [&](int i, int place, int n) {
    return weight(n, channels.one, 4, i, place);
  });
  packed.insert(packed.end(), one.begin(), one.end());
  return packed;
}

}  // namespace

ExpandLayer::ExpandLayer(const GemmSpec& spec, const std::vector<uint16_t>& more, bool spare)
    : Layer(spec) {
  const std::vector<ChannelPair> pairs = pair_channels(spec.step);
  std::vector<uint16_t> packed;
  for (const ChannelPair channels : pairs) {
    const std::vector<uint16_t> pair = pack_pair(spec.step, channels, half_);
    packed.insert(packed.end(), pair.begin(), pair.end());
    packed.insert(packed.end(), more.begin(), more.end());
  }
  groups_ = static_cast<int>(pairs.size());
  fixed_.weights = keep_packed(packed);
  fixed_.weight_bytes = static_cast<int32_t>(packed.size() * 2) / groups_;
  fixed_.channels = keep(pairs);
  fixed_.patch = make_patch(step_.in, half_, spare);
  teams_ = count_teams(fixed_.patch, fixed_.weight_bytes);
}

ExpandArguments ExpandLayer::arguments(int64_t images, const Operands& operands) const {
  ExpandArguments args = fixed_;
  args.in = make_operand(step_.in, operands.in);
  args.to = make_output(step_, operands.out);
  args.images = static_cast<int32_t>(images);
  return args;
}

}  // namespace facegen::cuda::hopper
