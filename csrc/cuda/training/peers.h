// GPUs of several processes, one each, that add up what they have. All call the same functions in the same
// order; what they enqueue may be recorded in a graph.
//
// Trainers of a process have the connections in turns: a call of one ends when all is done that it has enqueued here.
// So what is ordered is within a trainer: gather() and broadcast() are on one of its streams, add_up() on another.
//
// Of a number of ranks that is a power of 2, sums are a binary tree: neighbours add up, then pairs of
// neighbours, and so on, each step a sum of two numbers, which has the same bits in either order. Of other
// numbers NCCL chooses.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>
#include <vector>

#include "cuda/runtime/nccl.h"

namespace facegen::cuda {

class Peers {
 public:
  // What one rank makes, and all begin with.
  static NcclId make_id(const std::string& library);
  // Waits for all other ranks.
  Peers(const std::string& library, const NcclId& id, int rank, int size, int device);
  Peers(const Peers&) = delete;
  Peers& operator=(const Peers&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  int device() const { return device_; }

  // all (size, count): each rank's numbers, of which this one's are there.
  void gather(double* all, int64_t count, cudaStream_t stream) const;
  void gather(int32_t* all, int64_t count, cudaStream_t stream) const;
  // data becomes that of a rank, with its bits.
  void broadcast(float* data, int64_t count, int from, cudaStream_t stream) const;
  // data becomes the sum over the ranks. Runs beside what gather() has enqueued on another stream.
  void add_up(float* data, int64_t count, cudaStream_t stream) const;
  void add_up(double* data, int64_t count, cudaStream_t stream) const;

  // Throws where a connection has failed meanwhile: its ranks would wait for ever.
  void check() const;
  // Ends the connections, once graphs that use them are gone and every rank calls this. Without, they end with
  // the process: NCCL would wait for both.
  void close();

 private:
  void gather(void* own, void* all, int64_t count, NcclType type, cudaStream_t stream) const;
  void add_up(void* data, int64_t count, NcclType type, cudaStream_t stream) const;

  const Nccl& nccl_;
  int rank_, size_, device_;
  NcclComm* gathering_ = nullptr;
  std::vector<NcclComm*> adding_;  // one after another
};

}  // namespace facegen::cuda
