// A library with NCCL's functions that this package calls, whose ranks may share one GPU: what ranks do together is
// tested where there are fewer GPUs.
//
// Ranks are processes of one host. A communicator is a file in memory that all map and that GPUs reach:
//
//   Shared | slot of rank 0 (kSlotBytes) | slot of rank 1 | ...
//
// As NCCL's, an operation is one kernel, which waits for those of its peers: each puts its numbers into its slot, all
// meet, each reads what it needs, all meet. Ranks that share a GPU have it in turns, some milliseconds each. So what
// would wait for ever with NCCL does here.
#include <cuda_runtime.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

namespace fake {

constexpr int kMostRanks = 8, kThreads = 1024;
constexpr size_t kSharedBytes = 4096, kSlotBytes = size_t{1} << 20;
constexpr int kFailure = 3;  // ncclInternalError
constexpr int kInt32 = 2, kFloat32 = 7, kFloat64 = 8;

struct Shared {
  std::atomic<unsigned> arrived;  // hosts, of all their meetings
  int colors[kMostRanks];
  unsigned turns[kMostRanks];  // meetings of GPUs
};
static_assert(sizeof(Shared) <= kSharedBytes);

struct Group {
  Shared* shared;  // as hosts and GPUs see it
  unsigned* turn;  // of this rank, on its GPU
  int rank, size;

  __host__ __device__ char* slot(int of) const {
    return reinterpret_cast<char*>(shared) + kSharedBytes + of * kSlotBytes;
  }
};

enum class Operation { kSum, kGather, kBroadcast };

struct Call {
  Operation operation;
  const char* from;
  char* to;
  size_t bytes;  // of a rank
  int type, root;
};

__device__ void meet(const Group& g) {
  __threadfence_system();
  __syncthreads();
  if (threadIdx.x == 0) {
    const unsigned turn = ++*g.turn;
    volatile unsigned* const turns = g.shared->turns;
    turns[g.rank] = turn;
    for (int rank = 0; rank < g.size; ++rank) {
      while (turns[rank] < turn) __nanosleep(1000);
    }
    __threadfence_system();
  }
  __syncthreads();
}

__device__ void copy(char* to, const char* from, size_t bytes) {
  auto* const words = reinterpret_cast<volatile uint32_t*>(to);
  const auto* const read = reinterpret_cast<const volatile uint32_t*>(from);
  for (size_t i = threadIdx.x; i < bytes / 4; i += kThreads) words[i] = read[i];
}

template <typename Number>
__device__ void add_up(const Group& g, char* to, size_t bytes) {
  for (size_t i = threadIdx.x; i < bytes / sizeof(Number); i += kThreads) {
    Number sum = 0;
    for (int rank = 0; rank < g.size; ++rank) {
      const Number number = reinterpret_cast<const volatile Number*>(g.slot(rank))[i];
      sum = rank == 0 ? number : sum + number;
    }
    reinterpret_cast<Number*>(to)[i] = sum;
  }
}

// One block.
__global__ void __launch_bounds__(kThreads) exchange(Group g, Call c) {
  for (size_t done = 0; done < c.bytes; done += kSlotBytes) {
    const size_t bytes = c.bytes - done < kSlotBytes ? c.bytes - done : kSlotBytes;
    if (c.operation != Operation::kBroadcast || g.rank == c.root) copy(g.slot(g.rank), c.from + done, bytes);
    meet(g);
    switch (c.operation) {
      case Operation::kGather:
        for (int rank = 0; rank < g.size; ++rank) copy(c.to + rank * c.bytes + done, g.slot(rank), bytes);
        break;
      case Operation::kBroadcast: copy(c.to + done, g.slot(c.root), bytes); break;
      case Operation::kSum:
        if (c.type == kFloat32) add_up<float>(g, c.to + done, bytes);
        if (c.type == kFloat64) add_up<double>(g, c.to + done, bytes);
        break;
    }
    meet(g);
  }
}

struct Comm {
  Group group = {};
  std::string name;
  unsigned meetings = 0, splits = 0;
};

// Of the hosts; false where one does not come.
bool meet_hosts(Comm& comm) {
  const unsigned all = ++comm.meetings * static_cast<unsigned>(comm.group.size);
  ++comm.group.shared->arrived;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (comm.group.shared->arrived < all) {
    if (std::chrono::steady_clock::now() > end) return false;
    sched_yield();
  }
  return true;
}

int make(const std::string& name, int rank, int size, Comm** made) {
  if (size > kMostRanks) return kFailure;
  const size_t bytes = kSharedBytes + static_cast<size_t>(size) * kSlotBytes;
  const int file = shm_open(name.c_str(), O_CREAT | O_RDWR, 0600);
  if (file < 0 || ftruncate(file, static_cast<off_t>(bytes)) != 0) return kFailure;
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (memory == MAP_FAILED) return kFailure;
  unsigned* turn = nullptr;
  cudaFuncAttributes loaded;  // kernels are not loaded while a graph is recorded
  if (cudaHostRegister(memory, bytes, cudaHostRegisterMapped) != cudaSuccess ||
      cudaMalloc(&turn, sizeof *turn) != cudaSuccess || cudaMemset(turn, 0, sizeof *turn) != cudaSuccess ||
      cudaDeviceSynchronize() != cudaSuccess || cudaFuncGetAttributes(&loaded, exchange) != cudaSuccess) {
    return kFailure;
  }
  auto* const comm = new Comm{{static_cast<Shared*>(memory), turn, rank, size}, name};
  if (!meet_hosts(*comm)) return kFailure;
  if (rank == 0) shm_unlink(name.c_str());
  *made = comm;
  return 0;
}

int enqueue(Comm* comm, const Call& call, cudaStream_t stream) {
  exchange<<<1, kThreads, 0, stream>>>(comm->group, call);
  return cudaGetLastError() == cudaSuccess ? 0 : kFailure;
}

size_t bytes_of(size_t count, int type) { return count * (type == kFloat64 ? 8 : 4); }

}  // namespace fake

using namespace fake;

struct Id {
  char bytes[128];
};

extern "C" {

int ncclGetVersion(int* version) {
  *version = 22800;
  return 0;
}
int ncclGetUniqueId(Id* id) {
  *id = {};
  const auto now = std::chrono::steady_clock::now().time_since_epoch().count();
  std::snprintf(id->bytes, sizeof id->bytes, "/fake-nccl-%d-%lld", static_cast<int>(getpid()),
                static_cast<long long>(now));
  return 0;
}
int ncclCommInitRank(Comm** comm, int size, Id id, int rank) { return make(id.bytes, rank, size, comm); }
int ncclCommSplit(Comm* of, int color, int, Comm** made, void*) {
  Shared* const shared = of->group.shared;
  shared->colors[of->group.rank] = color;
  if (!meet_hosts(*of)) return kFailure;
  int rank = 0, size = 0;
  for (int other = 0; other < of->group.size; ++other) {
    if (shared->colors[other] != color) continue;
    if (other == of->group.rank) rank = size;
    ++size;
  }
  if (!meet_hosts(*of)) return kFailure;
  const std::string name = of->name + "-" + std::to_string(of->splits++) + "-" + std::to_string(color);
  return make(name, rank, size, made);
}
int ncclCommDestroy(Comm*) { return 0; }
int ncclCommGetAsyncError(Comm*, int* error) {
  *error = 0;
  return 0;
}
int ncclAllReduce(const void* from, void* to, size_t count, int type, int operation, Comm* comm, cudaStream_t stream) {
  if (operation != 0 || (type != kFloat32 && type != kFloat64)) return kFailure;
  return enqueue(comm, {Operation::kSum, static_cast<const char*>(from), static_cast<char*>(to), bytes_of(count, type),
                        type, 0}, stream);
}
int ncclAllGather(const void* from, void* to, size_t count, int type, Comm* comm, cudaStream_t stream) {
  if (type != kInt32 && type != kFloat32 && type != kFloat64) return kFailure;
  return enqueue(comm, {Operation::kGather, static_cast<const char*>(from), static_cast<char*>(to),
                        bytes_of(count, type), type, 0}, stream);
}
int ncclBroadcast(const void* from, void* to, size_t count, int type, int root, Comm* comm, cudaStream_t stream) {
  if (type != kInt32 && type != kFloat32 && type != kFloat64) return kFailure;
  return enqueue(comm, {Operation::kBroadcast, static_cast<const char*>(from), static_cast<char*>(to),
                        bytes_of(count, type), type, root}, stream);
}
const char* ncclGetErrorString(int) { return "the fake of NCCL has failed"; }
const char* ncclGetLastError(Comm*) { return ""; }

}  // extern "C"
