#include "hold_all.h"

#include <algorithm>
#include <string>
#include <tuple>

#include "../../fail.h"

namespace atomics::mutex {

HoldAll::~HoldAll() {
  while (held_ > 0) {
    const Covered& last = covered_[--held_];
    last.stripes->unlock(last.i);
  }
}

void HoldAll::cover(Stripes& stripes, int64_t first, int64_t begin, int64_t end) {
  if (begin == end) return;
  // From here on it is known which memory the bank is.
  stripes.verify(stripes.mutex_of(first, begin));
  const int64_t first_stripe = begin / kStripeBytes;
  const int64_t last_stripe = (end - 1) / kStripeBytes;
  const int64_t count = std::min(last_stripe - first_stripe + 1, stripes.count());
  for (int64_t k = 0; k < count; ++k) {
    const int64_t i = stripes.mutex_of(first, (first_stripe + k) * kStripeBytes);
    covered_.push_back({stripes.backing_of(i), &stripes, i});
  }
}

void HoldAll::lock() {
  const auto place = [](const Covered& each) {
    return std::tuple(each.backing.device, each.backing.inode, each.backing.offset);
  };
  std::sort(covered_.begin(), covered_.end(),
            [&](const Covered& a, const Covered& b) { return place(a) < place(b); });
  const auto same = [](const Covered& a, const Covered& b) { return a.backing == b.backing; };
  covered_.erase(std::unique(covered_.begin(), covered_.end(), same), covered_.end());
  // The kernel recovers 2048 of a dead thread, which may hold as many one by one.
  if (static_cast<int64_t>(covered_.size()) > kMostSlots) {
    fail(op_, "targets",
         "be under at most " + std::to_string(kMostSlots) +
             " mutexes together (as those are that share one bank)",
         std::to_string(covered_.size()));
  }
  for (; held_ < covered_.size(); ++held_) covered_[held_].stripes->lock(covered_[held_].i);
}

}  // namespace atomics::mutex
