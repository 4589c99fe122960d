// The rows that an indexed op names, in an order in which each mutex is locked once.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "guarded.h"

namespace atomics::cpu {

// A target of few stripes is locked as a whole: to order the rows would take longer than to update
// them. So few as a core's own cache holds.
inline bool has_few_stripes(const View& target) {
  constexpr int64_t kFew = 16;
  return target.numel == 0 ||
         (last_offset(target) + 1) * target.itemsize <= kFew * mutex::kStripeBytes;
}

class StripeOrder {
 public:
  // Reads every index once and checks it. The target's rows are not empty.
  StripeOrder(const char* op, const mutex::Stripes& stripes, const View& target, int64_t first,
              const View& index);

  // Of rows that were checked.
  StripeOrder(const char* op, const mutex::Stripes& stripes, const View& target, int64_t first,
              const std::vector<int64_t>& rows);

  // Calls visit(place, row, i) for the places in the call, in their order for each row, while `i`,
  // the mutex of the row's stripe, is held; all of them if it lies in several. Before that
  // soon(row), which has to be always_inline. Shared between threads if there is much to do.
  template <class Soon, class Visit>
  void for_each(mutex::Stripes& stripes, int64_t width, Soon soon, Visit visit) const;

 private:
  static constexpr uint32_t kEnd = UINT32_MAX;

  StripeOrder(const char* op, const mutex::Stripes& stripes, const View& target, int64_t first,
              int64_t count);

  template <class ForEachIndex>
  void take(const mutex::Stripes& stripes, ForEachIndex for_each_index);

  template <class Soon, class Visit>
  void for_each_together(mutex::Stripes& stripes, Soon soon, Visit visit) const;
  template <class Visit>
  void for_each_crossing(mutex::Stripes& stripes, Visit visit) const;

  const char* op_;
  int64_t mutexes_;
  int64_t count_;
  Place place_;
  int64_t distance_;   // from one row to the next in bytes
  int64_t row_bytes_;  // from a row's first byte to its last
  int64_t bytes_;      // from the first row's first byte to the last one's last
  bool together_;      // all are locked at once
  // The places of each mutex are a list. A sort would wait for the counters of a hot mutex, twice.
  std::vector<uint32_t> heads_;  // the last one is of the rows that lie in several stripes
  std::unique_ptr<uint32_t[]> next_;
  std::unique_ptr<int64_t[]> rows_;
};

template <class Soon, class Visit>
void StripeOrder::for_each(mutex::Stripes& stripes, int64_t width, Soon soon, Visit visit) const {
  if (together_) return for_each_together(stripes, soon, visit);
  // Numbers of our own, which stores to the target cannot change.
  const int64_t* const rows = rows_.get();
  const uint32_t* const next = next_.get();
  const uint32_t* const heads = heads_.data();
  if (count_ * width >= 2 * kGrain) stripes.verify(0);
  const int64_t share = std::max<int64_t>(count_ * width / mutexes_, 1);
  share_out(mutexes_, share, [&](int64_t from, int64_t to) {
    mutex::StripeHold hold(stripes);
    const auto for_each_mutex = [&](auto&& use) {
      const int64_t start = from + mutex::start_of_thread(to - from);
      for (int64_t i = start; i < to; ++i) use(i);
      for (int64_t i = from; i < start; ++i) use(i);
    };
    if (width == 1) {
      for_each_mutex([&](int64_t i) {
        if (heads[i] == kEnd) return;
        hold.go_to(i);
        const Visit own = visit;
        for (uint32_t at = heads[i]; at != kEnd; at = next[at]) own(at, rows[at], i);
      });
      return;
    }
    constexpr size_t kAhead = 4;
    std::vector<uint32_t> places;  // of all mutexes, for a look ahead
    for_each_mutex([&](int64_t i) {
      for (uint32_t at = heads[i]; at != kEnd; at = next[at]) places.push_back(at);
    });
    for (size_t at = 0; at < places.size(); ++at) {
      if (at + kAhead < places.size()) soon(rows[places[at + kAhead]]);
      const int64_t row = rows[places[at]];
      const int64_t i = stripes.mutex_of(place_.first, place_.byte + row * distance_);
      hold.go_to(i);
      visit(places[at], row, i);
    }
  });
  for_each_crossing(stripes, visit);
}

template <class Soon, class Visit>
void StripeOrder::for_each_together(mutex::Stripes& stripes, Soon soon, Visit visit) const {
  constexpr int64_t kAhead = 4;
  mutex::HoldAll hold(op_);
  hold.cover(stripes, place_.first, place_.byte, place_.byte + bytes_);
  hold.lock();
  const int64_t* const rows = rows_.get();
  const int64_t count = count_;
  for (int64_t at = 0; at < count; ++at) {
    if (at + kAhead < count) soon(rows[at + kAhead]);
    visit(static_cast<uint32_t>(at), rows[at],
          stripes.mutex_of(place_.first, place_.byte + rows[at] * distance_));
  }
}

template <class Visit>
void StripeOrder::for_each_crossing(mutex::Stripes& stripes, Visit visit) const {
  for (uint32_t at = heads_[static_cast<size_t>(mutexes_)]; at != kEnd; at = next_[at]) {
    const int64_t byte = place_.byte + rows_[at] * distance_;
    mutex::HoldAll hold(op_);
    hold.cover(stripes, place_.first, byte, byte + row_bytes_);
    hold.lock();
    visit(at, rows_[at], stripes.mutex_of(place_.first, byte));
  }
}

}  // namespace atomics::cpu
