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

// One row of a tensor: the dimensions after the first.
inline Operand row_of(const Operand& whole, int64_t row) {
  return {whole.data + row * whole.strides[0] * whole.itemsize, whole.itemsize, whole.dim - 1,
          whole.sizes + 1, whole.strides + 1};
}

// A row of numbers of our own, contiguous and of the shape of a target's row.
template <class T>
class OwnRow {
 public:
  OwnRow(const Operand& target, int64_t width)
      : numbers_(static_cast<size_t>(width)), strides_(static_cast<size_t>(target.dim - 1), 1) {
    for (int64_t d = target.dim - 2; d > 0; --d) {
      strides_[d - 1] = strides_[d] * target.sizes[d + 1];
    }
    // Bytes until the walk gives them their type back.
    operand_ = {reinterpret_cast<char*>(numbers_.data()), sizeof(T), target.dim - 1,
                target.sizes + 1, strides_.data()};
  }
  OwnRow(const OwnRow&) = delete;
  OwnRow& operator=(const OwnRow&) = delete;

  const Operand& operand() const { return operand_; }

 private:
  std::vector<T> numbers_;
  std::vector<int64_t> strides_;
  Operand operand_;
};

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

// Calls visit(from, to) for the elements of two rows.
template <class From, class To, class Visit>
void for_each_pair(const Operand& from, const Operand& to, int64_t width, Visit&& visit) {
  const auto walk = [&](std::array<char*, 2> at, std::array<int64_t, 2> step, int64_t n) {
    if (step[0] == sizeof(To) && step[1] == sizeof(From)) {  // in vectors
      for (int64_t i = 0; i < n; ++i) visit((&as<From>(at[1]))[i], (&as<To>(at[0]))[i]);
    } else {
      for (int64_t i = 0; i < n; ++i, at[0] += step[0], at[1] += step[1]) {
        visit(as<From>(at[1]), as<To>(at[0]));
      }
    }
  };
  const auto to_step = step_of(to);
  const auto from_step = step_of(from);
  if (to_step && from_step) {
    walk({to.data, from.data}, {*to_step, *from_step}, width);
  } else {
    for_each_run<2>({to, from}, walk);
  }
}

// Applies an op to a row: update_cells without its preparations, which a short row would feel.
template <class Op, class C, class Other, size_t N, class Scale>
void update_row(const std::array<Operand, N>& rows, int64_t width, Scale scale) {
  Run<N> run;
  bool is_run = width < kGrain;
  for (size_t k = 0; k < N; ++k) {
    const auto step = step_of(rows[k]);
    is_run = is_run && step;
    run.at[k] = rows[k].data;
    run.step[k] = step.value_or(0);
  }
  if (is_run) {
    update_run<Op, C, Other>(run, width, scale);
  } else {
    update_cells<Op, C, Other>(rows, width, scale);
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

// Calls visit(own, row, first, last) for every group. Shared between threads if there is much to
// do: groups have different rows. `own` is what prepare() has made for the thread. The rows that
// come soon are on their way to its core meanwhile.
template <class Prepare, class Visit>
void for_each_row(const Operand& cells, const Groups& groups, int64_t width, Prepare&& prepare,
                  Visit&& visit) {
  const Members members(groups);
  const auto count = static_cast<int64_t>(groups.rows.size());
  share_out(count, width, [&](int64_t begin, int64_t end) {
    constexpr int64_t kAhead = 4;
    constexpr int64_t kLine = 64;
    constexpr int64_t kMostBytes = 1024;
    const int64_t bytes = std::min(width * cells.itemsize, kMostBytes);
    auto own = prepare();
    for (int64_t g = begin; g < end; ++g) {
      if (g + kAhead < end) {
        const char* const coming = row_of(cells, groups.rows[g + kAhead]).data;
        for (int64_t byte = 0; byte < bytes; byte += kLine) __builtin_prefetch(coming + byte, 1);
      }
      visit(own, groups.rows[g], members.begin(g), members.end(g));
    }
  });
}

}  // namespace atomics::cpu
