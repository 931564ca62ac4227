// Processes that share a batch: each computes a part that is a node of the tree of sums (tree.h), and
// nodes are added up along the same tree. So the bits are those of one process.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

namespace facegen::cpu {

struct Peers {
  int rank, size;
  // Sends to one rank and receives from another, so many bytes each; -1 is nobody.
  std::function<void(int to, const void* sent, int from, void* received, int64_t bytes)> exchange;

  // Ranks 0 .. active - 1 get the tree's sum of what they have. combine(left, right): left becomes the
  // sum of neighbouring nodes.
  template <typename T, typename Combine>
  void all_reduce(int active, T* data, int64_t count, Combine combine) const {
    const int64_t bytes = count * static_cast<int64_t>(sizeof(T));
    std::vector<T> other(static_cast<std::size_t>(count));
    if ((active & (active - 1)) == 0) {
      for (int apart = 1; apart < active; apart *= 2) {
        const int partner = rank ^ apart;
        exchange(partner, data, partner, other.data(), bytes);
        if (rank < partner) {
          combine(data, other.data());
        } else {
          combine(other.data(), data);
          std::copy_n(other.data(), count, data);
        }
      }
    } else {
      int apart = 1;
      for (; apart < active && rank % (2 * apart) == 0; apart *= 2) {
        if (rank + apart >= active) continue;
        exchange(-1, nullptr, rank + apart, other.data(), bytes);
        combine(data, other.data());
      }
      if (rank > 0) {
        exchange(rank - apart, data, -1, nullptr, bytes);
        exchange(-1, nullptr, rank - apart, data, bytes);
      }
      for (apart /= 2; apart > 0; apart /= 2) {
        if (rank + apart < active) exchange(rank + apart, data, -1, nullptr, bytes);
      }
    }
  }

  // The others get it from rank 0.
  template <typename T>
  void tell_idle(int active, T* data, int64_t count) const {
    const int64_t bytes = count * static_cast<int64_t>(sizeof(T));
    if (rank >= active) exchange(-1, nullptr, 0, data, bytes);
    for (int idle = active; rank == 0 && idle < size; ++idle) {
      exchange(idle, data, -1, nullptr, bytes);
    }
  }
};

// How a part of a batch is shared; of one process alone nothing is.
struct Sharing {
  const Peers* peers = nullptr;
  int active = 1;  // ranks that have images

  // Among those that have images: the others must not call it.
  template <typename T, typename Combine>
  void all_reduce(T* data, int64_t count, Combine combine) const {
    if (peers != nullptr) peers->all_reduce(active, data, count, combine);
  }
  template <typename T>
  void add_up(T* data, int64_t count) const {
    all_reduce(data, count, [count](T* left, const T* right) {
      for (int64_t i = 0; i < count; ++i) left[i] += right[i];
    });
  }
  // Of all ranks.
  template <typename T>
  void add_up_for_all(T* data, int64_t count) const {
    if (peers == nullptr) return;
    if (peers->rank < active) add_up(data, count);
    peers->tell_idle(active, data, count);
  }
};

}  // namespace facegen::cpu
