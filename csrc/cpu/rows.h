// What the indexed ops share: the checked copy of the index, and the rows that it names, each with
// the places in the call that name it.
#pragma once

#include <optional>
#include <vector>

#include "../check.h"
#include "../dispatch.h"
#include "cells.h"
#include "group.h"
#include "update.h"

namespace atomics::cpu {

// All checks on the arguments of an indexed op, `sources` one row for each index.
void check_indexed(const char* op, const View& target, int64_t dim, const View& index,
                   std::initializer_list<View> sources);

[[noreturn]] void fail_index(const char* op, const View& index, int64_t row, int64_t row_count);

// A private copy: another process may change the index between the check and the update. Every
// element is checked before the first write.
std::vector<int64_t> copy_index(const char* op, const View& index, int64_t row_count);

// How far apart the elements of a row are in bytes, if they follow each other like one run.
inline std::optional<int64_t> step_of(const Operand& row) {
  int64_t contiguous = 1;
  bool is_one_element = true;
  for (int64_t d = row.dim - 1; d >= 0; --d) {
    if (row.sizes[d] == 1) continue;
    is_one_element = is_one_element && row.strides[d] == 0;
    if (contiguous != 0 && row.strides[d] != contiguous) contiguous = 0;
    contiguous *= row.sizes[d];
  }
  if (contiguous != 0) return row.itemsize;
  if (is_one_element) return 0;
  return std::nullopt;
}

// One row of a tensor, the dimensions after the first, and what step_of says of it.
struct Row : Operand {
  std::optional<int64_t> step;
};

class Rows {
 public:
  explicit Rows(const Operand& whole)
      : first_{{whole.data, whole.itemsize, whole.dim - 1, whole.sizes + 1, whole.strides + 1}, {}},
        distance_(whole.strides[0] * whole.itemsize) {
    first_.step = step_of(first_);
  }

  // What all rows have in common.
  const Operand& shape() const { return first_; }

  Row operator[](int64_t row) const {
    Row at = first_;
    at.data += row * distance_;
    return at;
  }

  int64_t distance() const { return distance_; }  // from one row to the next in bytes

 private:
  Row first_;
  int64_t distance_;
};

// A row of numbers of our own, contiguous and of the shape of a target's row.
template <class T>
class OwnRow {
 public:
  OwnRow(const Rows& like, int64_t width)
      : numbers_(static_cast<size_t>(width)), strides_(static_cast<size_t>(like.shape().dim), 1) {
    const Operand& shape = like.shape();
    for (int64_t d = shape.dim - 1; d > 0; --d) strides_[d - 1] = strides_[d] * shape.sizes[d];
    // Bytes until the walk gives them their type back.
    row_ = {{reinterpret_cast<char*>(numbers_.data()), sizeof(T), shape.dim, shape.sizes,
             strides_.data()},
            sizeof(T)};
  }
  OwnRow(const OwnRow&) = delete;
  OwnRow& operator=(const OwnRow&) = delete;

  const Row& row() const { return row_; }

 private:
  std::vector<T> numbers_;
  std::vector<int64_t> strides_;
  Row row_;
};

// Calls visit(from, to) for the elements of two rows.
template <class From, class To, class Visit>
void for_each_pair(const Row& from, const Row& to, int64_t width, Visit&& visit) {
  const auto walk = [&](std::array<char*, 2> at, std::array<int64_t, 2> step, int64_t n) {
    if (step[0] == sizeof(To) && step[1] == sizeof(From)) {  // in vectors
      for (int64_t i = 0; i < n; ++i) visit((&as<From>(at[1]))[i], (&as<To>(at[0]))[i]);
    } else {
      for (int64_t i = 0; i < n; ++i, at[0] += step[0], at[1] += step[1]) {
        visit(as<From>(at[1]), as<To>(at[0]));
      }
    }
  };
  if (to.step && from.step) {
    walk({to.data, from.data}, {*to.step, *from.step}, width);
  } else {
    for_each_run<2>({to, from}, walk);
  }
}

// Applies an op to a row: update_cells without its preparations, which a short row would feel.
template <class Op, class C, class Other, size_t N, class Scale>
void update_row(const std::array<Row, N>& rows, int64_t width, Scale scale) {
  Run<N> run;
  bool is_run = width < kGrain;
  for (size_t k = 0; k < N; ++k) {
    is_run = is_run && rows[k].step;
    run.at[k] = rows[k].data;
    run.step[k] = rows[k].step.value_or(0);
  }
  if (is_run) {
    update_run<Op, C, Other>(run, width, scale);
  } else {
    std::array<Operand, N> operands;
    std::copy(rows.begin(), rows.end(), operands.begin());
    update_cells<Op, C, Other>(operands, width, scale);
  }
}

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
      : cells_(cells), bytes_(std::min(width * cells.shape().itemsize, kMostBytes)) {}

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
