// Python's handle of the GPUs of several ranks.
#pragma once

#include <pybind11/pybind11.h>

#include <memory>
#include <string>

#include "cuda/training/peers.h"

namespace facegen {

class CudaPeers {
 public:
  static void load(const std::string& library);
  static pybind11::bytes make_id(const std::string& library);

  CudaPeers(const std::string& library, const std::string& id, int rank, int size, int device);

  const std::shared_ptr<cuda::Peers>& get() const { return peers_; }
  void check() const;
  bool is_used() const;
  void close();

 private:
  std::shared_ptr<cuda::Peers> peers_;
};

void bind_cuda_peers(pybind11::module_& m);

}  // namespace facegen
