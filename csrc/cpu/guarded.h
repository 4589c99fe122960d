// A target under a bank of mutexes: visits it stripe by stripe, each while its mutex is held.
#pragma once

#include <algorithm>
#include <array>

#include "../strided.h"
#include "mutex/hold_all.h"
#include "mutex/stripes.h"
#include "mutex_slot.h"
#include "parallel.h"

namespace atomics::cpu {

// The bank that a guarded op was given.
inline mutex::Stripes stripes_of(const char* op, const Tensor& mutex) {
  const View view("mutex", mutex);
  const auto* const slots = slots_of(op, view);
  return {op, slots, view.numel / static_cast<int64_t>(sizeof(mutex::Slot))};
}

inline void check_first(const char* op, int64_t first) {
  constexpr int64_t kMost = int64_t{1} << 32;  // so that it and a stripe's number have a sum
  if (first < 0 || first >= kMost) fail(op, "first", "lie in [0, 2**32)", std::to_string(first));
}

// Where a target lies in its storage, which is what its mutexes depend on: views of one storage
// agree on them.
struct Place {
  Place(const View& target, int64_t first)
      : byte(target.tensor.storage_offset() * target.itemsize), first(first) {}

  int64_t byte;   // of the target's first element
  int64_t first;  // the mutex of byte 0
};

// The byte of its storage past a target's last element.
inline int64_t end_of(const Place& place, const View& target) {
  return target.numel == 0 ? place.byte : place.byte + (last_offset(target) + 1) * target.itemsize;
}

// Refuses now a bank that cannot be locked.
inline void verify(mutex::Stripes& stripes, const Place& place) {
  stripes.verify(stripes.mutex_of(place.first, place.byte));
}

// The same for who changes something before the last lock: no mutex of the target is lost, either.
inline void verify_all(mutex::Stripes& stripes, const Place& place, const View& target) {
  verify(stripes, place);
  stripes.check_none_lost(place.first, place.byte, end_of(place, target));
}

// Has all mutexes of a target held.
inline void cover(mutex::HoldAll& hold, mutex::Stripes& stripes, const Place& place,
                  const View& target) {
  hold.cover(stripes, place.first, place.byte, end_of(place, target));
}

// To take a lock, a processor waits until its stores are done: the next elements are on their way
// meanwhile.
template <size_t N>
void prefetch(const std::array<char*, N>& at, const std::array<int64_t, N>& step, int64_t n) {
  constexpr int64_t kLine = 64;
  constexpr int64_t kLines = 8;
  for (size_t k = 0; k < N; ++k) {
    const int64_t end = std::min(n * step[k], kLines * kLine);
    for (int64_t byte = 0; byte < end; byte += kLine) __builtin_prefetch(at[k] + byte);
  }
}

// Calls visit(at, step, n, i) for parts of the operands of which the first one's lie in one stripe,
// whose mutex, `i`, is held. Shared between threads if there is much to do.
template <size_t N, class Visit>
void for_each_stripe(mutex::Stripes& stripes, const Place& place,
                     const std::array<Operand, N>& operands, int64_t numel, Visit&& visit) {
  if (numel == 0) return;
  const char* const storage = operands[0].data - place.byte;
  if (numel >= 2 * kGrain) verify(stripes, place);
  for_each_part(operands, numel, [&](const auto& part) {
    mutex::StripeHold hold(stripes);
    for_each_run(part, [&](auto at, auto step, int64_t n) {
      const int64_t past = (at[0] - storage) % mutex::kStripeBytes;
      // The first element that starts in the stripe that is `k` stripes further.
      const auto element_of = [&](int64_t k) {
        return step[0] == 0 ? n : (k * mutex::kStripeBytes - past + step[0] - 1) / step[0];
      };
      const auto visit_from_to = [&](int64_t i, int64_t end) {
        while (i < end) {
          auto here = at;
          for (size_t k = 0; k < N; ++k) here[k] += i * step[k];
          const int64_t byte = here[0] - storage;
          const int64_t next =
              std::min(element_of((past + i * step[0]) / mutex::kStripeBytes + 1), end);
          const int64_t mutex = stripes.mutex_of(place.first, byte);
          prefetch<N>(here, step, next - i);
          hold.go_to(mutex);
          visit(here, step, next - i, mutex);
          i = next;
        }
      };
      const int64_t count = (past + (n - 1) * step[0]) / mutex::kStripeBytes + 1;
      const int64_t start = count == 1 ? 0 : mutex::start_of_thread(count);
      const int64_t begin = start == 0 ? 0 : element_of(start);
      visit_from_to(begin, n);
      visit_from_to(0, begin);
    });
  });
}

}  // namespace atomics::cpu
