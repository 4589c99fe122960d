// What the indexed ops share: the checked copy of the index, and the rows that it names, each with
// the places in the call that name it.
#pragma once

#include <vector>

#include "../check.h"
#include "../dispatch.h"
#include "cells.h"
#include "group.h"
#include "row.h"

namespace atomics::cpu {

[[noreturn]] void fail_index(const char* op, const View& index, int64_t row, int64_t row_count);

// A private copy: another process may change the index between the check and the update. Every
// element is checked before the first write.
std::vector<int64_t> copy_index(const char* op, const View& index, int64_t row_count);

// The places in a call where each group's row is named, in order.
class Members {
 public:
  explicit Members(const Groups& groups);

  const uint32_t* begin(int64_t group) const { return member_.data() + start_[group]; }
  const uint32_t* end(int64_t group) const { return member_.data() + start_[group + 1]; }

 private:
  std::vector<uint32_t> start_;
  std::vector<uint32_t> member_;
};

// Gets rows that come soon. An atomic instruction waits until the addresses of what is on its way
// are translated: the first lines of several rows are asked for together, so that their
// translations overlap; the other lines follow when they are near.
class Ahead {
 public:
  Ahead(const Rows& cells, int64_t width)
      : cells_(cells), bytes_(std::min(width * cells.shape().row.itemsize, kMostBytes)) {}

  // Before row `g` of those from `begin` to `end`. Inlined, because GCC takes a function that does
  // nothing but this for one without effect, and does not call it.
  [[gnu::always_inline]] void prefetch(const std::vector<int64_t>& rows, int64_t g, int64_t begin,
                                       int64_t end) const {
    if ((g - begin) % kFirsts == 0) {
      const int64_t last = std::min(g + 2 * kFirsts, end);
      for (int64_t k = g + kFirsts; k < last; ++k) __builtin_prefetch(cells_[rows[k]].data, 1);
    }
    if (g + kNear < end) {
      const char* const near = cells_[rows[g + kNear]].data;
      for (int64_t byte = kLine; byte < bytes_; byte += kLine) __builtin_prefetch(near + byte, 1);
    }
  }

 private:
  static constexpr int64_t kFirsts = 8;
  static constexpr int64_t kNear = 2;
  static constexpr int64_t kLine = 64;
  static constexpr int64_t kMostBytes = 1024;

  const Rows& cells_;
  int64_t bytes_;
};

// Calls visit(own, row, first, last) for every group. Shared between threads if there is much to
// do: groups have different rows. `own` is what prepare() has made for the thread.
template <class Prepare, class Visit>
void for_each_row(const Rows& cells, const Groups& groups, int64_t width, Prepare&& prepare,
                  Visit&& visit) {
  const Members members(groups);
  const auto count = static_cast<int64_t>(groups.rows.size());
  share_out(count, width, [&](int64_t begin, int64_t end) {
    const Ahead ahead(cells, width);
    auto own = prepare();
    for (int64_t g = begin; g < end; ++g) {
      ahead.prefetch(groups.rows, g, begin, end);
      visit(own, groups.rows[g], members.begin(g), members.end(g));
    }
  });
}

}  // namespace atomics::cpu
