#include "cuda/training/peers.h"

#include "cuda/fit/shares.h"
#include "cuda/runtime/device.h"

namespace facegen::cuda {

NcclId Peers::make_id(const std::string& library) {
  const Nccl& nccl = load_nccl(library);
  NcclId id = {};
  nccl.check(nccl.get_unique_id(&id), "ncclGetUniqueId");
  return id;
}

Peers::Peers(const std::string& library, const NcclId& id, int rank, int size, int device)
    : nccl_(load_nccl(library)), rank_(rank), size_(size), device_(device) {
  find_device(device);  // throws where there is none
  const DeviceScope scope(device);
  nccl_.check(nccl_.comm_init_rank(&gathering_, size, id, rank), "ncclCommInitRank");
  for (const int color : sum_groups(rank, size)) {
    NcclComm* group = nullptr;
    nccl_.check(nccl_.comm_split(gathering_, color, rank, &group, nullptr), "ncclCommSplit", gathering_);
    adding_.push_back(group);
  }
}

void Peers::gather(double* all, int64_t count, cudaStream_t stream) const {
  gather(all + rank_ * count, all, count, NcclType::kFloat64, stream);
}

void Peers::gather(int32_t* all, int64_t count, cudaStream_t stream) const {
  gather(all + rank_ * count, all, count, NcclType::kInt32, stream);
}

void Peers::gather(void* own, void* all, int64_t count, NcclType type, cudaStream_t stream) const {
  nccl_.check(nccl_.all_gather(own, all, static_cast<std::size_t>(count), type, gathering_, stream),
              "ncclAllGather", gathering_);
}

void Peers::broadcast(float* data, int64_t count, int from, cudaStream_t stream) const {
  nccl_.check(nccl_.broadcast(data, data, static_cast<std::size_t>(count), NcclType::kFloat32, from, gathering_,
                              stream),
              "ncclBroadcast", gathering_);
}

void Peers::add_up(float* data, int64_t count, cudaStream_t stream) const {
  add_up(data, count, NcclType::kFloat32, stream);
}

void Peers::add_up(double* data, int64_t count, cudaStream_t stream) const {
  add_up(data, count, NcclType::kFloat64, stream);
}

void Peers::add_up(void* data, int64_t count, NcclType type, cudaStream_t stream) const {
  for (NcclComm* const group : adding_) {
    nccl_.check(nccl_.all_reduce(data, data, static_cast<std::size_t>(count), type, kNcclSum, group, stream),
                "ncclAllReduce", group);
  }
}

void Peers::check() const {
  const auto check_one = [&](NcclComm* comm) {
    int failure = 0;
    nccl_.check(nccl_.comm_get_async_error(comm, &failure), "ncclCommGetAsyncError", comm);
    nccl_.check(failure, "NCCL", comm);
  };
  if (gathering_ == nullptr) return;  // closed
  check_one(gathering_);
  for (NcclComm* const group : adding_) check_one(group);
}

void Peers::close() {
  const DeviceScope scope(device_);
  while (!adding_.empty()) {
    NcclComm* const group = adding_.back();
    adding_.pop_back();
    nccl_.check(nccl_.comm_destroy(group), "ncclCommDestroy");
  }
  if (gathering_ == nullptr) return;
  NcclComm* const all = gathering_;
  gathering_ = nullptr;
  nccl_.check(nccl_.comm_destroy(all), "ncclCommDestroy");
}

}  // namespace facegen::cuda
