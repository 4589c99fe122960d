// The rows that an indexed op names, in the order of their mutexes, so that each is locked once.
#pragma once

#include <cstdint>
#include <vector>

#include "guarded.h"

namespace atomics::cpu {

class StripeOrder {
 public:
  // `index` holds rows of the target, in [0, its first size). It stays the caller's.
  StripeOrder(const mutex::Stripes& stripes, const View& target, int64_t first,
              const std::vector<int64_t>& index);

  // The places in the call whose rows lie in stripes of mutex `i`, in the order of the call.
  const uint32_t* begin(int64_t i) const { return places_.data() + start_[i]; }
  const uint32_t* end(int64_t i) const { return places_.data() + start_[i + 1]; }

  // Those whose rows lie in several stripes.
  const uint32_t* begin_crossing() const { return begin(mutexes_); }
  const uint32_t* end_crossing() const { return end(mutexes_); }

  // After those of one mutex come those of the next, up to here.
  const uint32_t* end() const { return places_.data() + places_.size(); }

  // Calls visit(first, last, i) for places whose rows' mutexes are held, `i` among them: for many
  // that share one, then one by one for those whose rows lie in several stripes. Shared between
  // threads if there is much to do.
  template <class Visit>
  void for_each(const char* op, mutex::Stripes& stripes, int64_t width, Visit&& visit) const {
    const auto elements = static_cast<int64_t>(places_.size()) * width;
    if (places_.empty()) return;
    if (elements >= 2 * kGrain) stripes.verify(0);
    share_out(mutexes_, std::max<int64_t>(elements / mutexes_, 1), [&](int64_t from, int64_t to) {
      mutex::StripeHold hold(stripes);
      const auto walk = [&](int64_t i, int64_t last) {
        for (; i < last; ++i) {
          if (begin(i) == end(i)) continue;
          hold.go_to(i);
          visit(begin(i), end(i), i);
        }
      };
      const int64_t start = from + mutex::start_of_thread(to - from);
      walk(start, to);
      walk(from, start);
    });
    for (const uint32_t* at = begin_crossing(); at != end_crossing(); ++at) {
      const int64_t byte = byte_of(index_[*at]);
      mutex::HoldAll hold(op);
      hold.cover(stripes, place_.first, byte, byte + row_bytes_);
      hold.lock();
      visit(at, at + 1, stripes.mutex_of(place_.first, byte));
    }
  }

 private:
  int64_t byte_of(int64_t row) const { return place_.byte + row * distance_; }

  int64_t mutexes_;
  Place place_;
  const int64_t* index_;
  int64_t distance_;   // from one row to the next in bytes
  int64_t row_bytes_;  // from a row's first byte to its last
  std::vector<uint32_t> start_;
  std::vector<uint32_t> places_;
};

}  // namespace atomics::cpu
