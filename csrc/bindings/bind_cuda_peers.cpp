#include <cstring>

#include "cuda/runtime/forked.h"
#include "cuda_peers.h"
#include "without_gil.h"

namespace py = pybind11;

namespace facegen {

void CudaPeers::load(const std::string& library) {
  without_gil([&] { cuda::load_nccl(library); });
}

py::bytes CudaPeers::make_id(const std::string& library) {
  const cuda::NcclId id = without_gil([&] { return cuda::Peers::make_id(library); });
  return py::bytes(id.bytes, sizeof id.bytes);
}

CudaPeers::CudaPeers(const std::string& library, const std::string& id, int rank, int size, int device) {
  cuda::NcclId given = {};
  if (id.size() != sizeof given.bytes || size < 1 || rank < 0 || rank >= size) {
    throw py::value_error("expected 128 bytes, and a rank below their number");
  }
  std::memcpy(given.bytes, id.data(), id.size());
  cuda::require_not_forked();
  peers_ = without_gil([&] { return std::make_shared<cuda::Peers>(library, given, rank, size, device); });
}

void CudaPeers::check() const {
  without_gil([&] { peers_->check(); });
}

bool CudaPeers::is_used() const { return peers_.use_count() > 1 || cuda::is_forked(); }

void CudaPeers::close() {
  if (!is_used()) without_gil([&] { peers_->close(); });
}

void bind_cuda_peers(py::module_& m) {
  py::class_<CudaPeers>(m, "CudaPeers", "This process's GPU among those of several, connected by NCCL.")
      .def(py::init<const std::string&, const std::string&, int, int, int>(), py::arg("library"), py::arg("id"),
           py::arg("rank"), py::arg("size"), py::arg("device"), "Waits for all others.")
      .def_static("load", &CudaPeers::load, py::arg("library"),
                  "RuntimeError where the library is none, or too old.")
      .def_static("make_id", &CudaPeers::make_id, py::arg("library"),
                  "What one rank makes, and all begin with: 128 bytes.")
      .def("check", &CudaPeers::check, "Raises DeviceFailure where a connection has failed.")
      .def_property_readonly("is_used", &CudaPeers::is_used, "Whether a trainer has it.")
      .def("close", &CudaPeers::close, "Ends the connections, which every rank does; not while it is used.");
}

}  // namespace facegen
