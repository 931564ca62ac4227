// NCCL's functions: the library is loaded when they are first asked for, and never linked.
//
// What is declared here is its documented interface, which has stayed the same since 2.18 (2023).
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <string>

namespace facegen::cuda {

struct NcclId {
  char bytes[128];
};

struct NcclComm;  // NCCL's own

enum class NcclType : int { kInt32 = 2, kFloat32 = 7, kFloat64 = 8 };
constexpr int kNcclSum = 0;

struct Nccl {
  int (*get_version)(int*);
  int (*get_unique_id)(NcclId*);
  int (*comm_init_rank)(NcclComm**, int ranks, NcclId, int rank);
  int (*comm_split)(NcclComm*, int color, int key, NcclComm**, void* config);
  int (*comm_destroy)(NcclComm*);
  int (*comm_get_async_error)(NcclComm*, int*);
  int (*all_reduce)(const void* from, void* to, std::size_t count, NcclType, int op, NcclComm*, cudaStream_t);
  int (*all_gather)(const void* from, void* to, std::size_t count_of_a_rank, NcclType, NcclComm*, cudaStream_t);
  int (*broadcast)(const void* from, void* to, std::size_t count, NcclType, int root, NcclComm*, cudaStream_t);
  const char* (*get_error_string)(int);
  const char* (*get_last_error)(NcclComm*);

  // Throws Error unless `code` is of success; `call` is the function's name.
  void check(int code, const char* call, NcclComm* comm = nullptr) const;
};

// The library of this path, or name as the system's loader takes it; the first that is loaded stays. Throws
// std::runtime_error where there is none, or one that is too old.
const Nccl& load_nccl(const std::string& path);

}  // namespace facegen::cuda
