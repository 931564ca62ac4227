// Pictures changed on a GPU as csrc/cpu/training/augment.h and augment/cutout.py change them, and gradients on
// their way back. What is drawn, a few numbers a picture, comes from the host.
//
// Everything but colours is to the bit what it is on the CPU, on the way there. The gradient of a resampled
// picture is a sum over the points that took a pixel: it is added up as whole numbers, of which the largest has
// 62 bits, so that no order of the points matters.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>

#include "cuda/runtime/memory.h"
#include "cuda/training/sources.h"

namespace facegen::cuda {

// On the host, of n pictures (h, w, c); null leaves a part out. Either mirrored or resampled, not both.
struct PictureChange {
  int64_t images;
  int32_t h, w, c;          // c is 1 or 3
  const uint8_t* mirrored;  // (n)
  const float* matrices;    // (n, 3, 3), and lenses (n): see csrc/cpu/isa/warp.h
  const float* lenses;
  bool cubic;
  bool folded;              // what lies outside is mirrored in, else black
  const double* colours;    // (n, 21): y = A x + C mean + b; A and C are (3, 3), by rows
  const int32_t* hidden;    // (n, 4): rows and columns that become 0, from and to
  bool adjoint;             // all of it the other way round; colours are those of the way back
  const int32_t* chosen;    // (n): which of the pictures each is of, where they are moved; null: in order
};

// Of pixels on a side, as on the CPU.
constexpr int64_t kMostPictureSide = 1 << 20;

class PictureChanges {
 public:
  // So many threads copy pictures of the host.
  PictureChanges(int device, int threads);
  ~PictureChanges();

  // to (images, h, w, c) on this GPU; there behind what is on stream() when the call returns. Arrays of the host
  // have been read then, and those of other libraries.
  void change(const PictureChange& change, const Source& from, float* to);
  // Pictures of so many numbers, each moved against its direction and along it: `apart` is the Euclidean length
  // of their difference. One whose direction is zeros stays.
  void either_side(const Source& pictures, const Source& directions, int64_t floats, double apart, float* less,
                   float* more);
  // Nothing is under way any more.
  void settle() const noexcept;
  int device() const { return device_; }
  cudaStream_t stream() const { return stream_.get(); }

 private:
  struct Numbers;
  template <typename T>
  T* grown(DeviceMemory<T>& memory, int64_t count);
  void take(const Source& source, int64_t floats, float* to);
  Numbers send(const PictureChange& change);
  void recolour_and_hide(const PictureChange& change, const Numbers& numbers, float* pictures);
  void resample(const PictureChange& change, const Numbers& numbers, const float* from, float* to);

  int device_;
  DeviceMemory<float> other_;    // pictures on their way
  DeviceMemory<int64_t> sums_;   // of a gradient
  DeviceMemory<double> scales_;  // of those, by picture
  DeviceMemory<char> numbers_;
  Stream stream_;
  Intake intake_;
};

}  // namespace facegen::cuda
