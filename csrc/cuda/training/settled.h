// Whatever happens, nothing is under way when a call returns: pinned memory and the caller's are free.
#pragma once

namespace facegen::cuda {

template <typename Settle>
struct Settled {
  Settle settle;
  ~Settled() { settle(); }
};
template <typename Settle>
Settled(Settle) -> Settled<Settle>;

}  // namespace facegen::cuda
