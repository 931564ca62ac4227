// The second half of a product whose sums were split over multiprocessors: see make_split_plan.
#include "cuda/generic/element.cuh"
#include "cuda/hopper/gemm/gemm.h"
#include "cuda/hopper/parts/launch.h"
#include "cuda/hopper/parts/ptx.cuh"
#include "divide_up.h"

namespace facegen::cuda::hopper {
namespace {

constexpr int kThreads = 128;

struct SliceArguments {
  const float* slices;  // (image, slice, y, x, channel)
  int32_t count, runs;  // runs: of 8 channels, of a pixel
  int64_t images;
  Operand out;
  DeviceEpilogue epilogue;
};

// A thread adds 8 channels of a pixel.
__global__ void __launch_bounds__(kThreads)
    add_slices_kernel(const __grid_constant__ SliceArguments args) {
  ptx::wait_for_steps_before();
  const int64_t thread = int64_t{blockIdx.x} * kThreads + threadIdx.x;
  const int of_image = args.out.h * args.out.w * args.runs;
  const int64_t image = thread / of_image;
  if (image >= args.images) return;
  const int within = static_cast<int>(thread - image * of_image);
  const int pixel = within / args.runs, channel = (within - pixel * args.runs) * 8;
  const float* from = args.slices + image * args.count * int64_t{8} * of_image + int64_t{8} * within;
  float sums[8] = {};
#pragma unroll 4
  for (int s = 0; s < args.count; ++s) {
    const auto* slice = reinterpret_cast<const float4*>(from + s * int64_t{8} * of_image);
    const float4 a = slice[0], b = slice[1];
    sums[0] += a.x, sums[1] += a.y, sums[2] += a.z, sums[3] += a.w;
    sums[4] += b.x, sums[5] += b.y, sums[6] += b.z, sums[7] += b.w;
  }
  finish_run(args.epilogue, channel, sums);
  store_run(args.out, image * args.out.image_stride + pixel * args.out.pixel_stride + channel, sums);
}

}  // namespace

void add_slices(const Step& step, int slices, int64_t images, const Operands& operands,
                cudaStream_t stream) {
  const int runs = (step.out.c + 7) / 8;
  const SliceArguments args = {operands.scratch,
                               slices,
                               runs,
                               images,
                               make_operand(step.out, operands.out),
                               make_epilogue(step, {})};
  const int64_t threads = images * step.out.h * step.out.w * runs;
  launch(add_slices_kernel, dim3(static_cast<unsigned>(divide_up(threads, kThreads))),
         kThreads, 0, images, stream, args);
}

}  // namespace facegen::cuda::hopper
