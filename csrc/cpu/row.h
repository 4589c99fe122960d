// Rows of a tensor, and of numbers of our own, as an indexed op works on them.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "cells.h"
#include "update.h"

namespace atomics::cpu {

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

// What the rows of a tensor have in common: the dimensions after the first.
struct RowShape {
  explicit RowShape(const Operand& row) : row(row), step(step_of(row)) {}

  Operand row;
  std::optional<int64_t> step;
};

// Two words, because it is made for every row.
struct Row {
  char* data;
  const RowShape* shape;

  std::optional<int64_t> step() const { return shape->step; }
  Operand operand() const {
    Operand operand = shape->row;
    operand.data = data;
    return operand;
  }
};

class Rows {
 public:
  explicit Rows(const Operand& whole)
      : shape_({whole.data, whole.itemsize, whole.dim - 1, whole.sizes + 1, whole.strides + 1}),
        distance_(whole.strides[0] * whole.itemsize) {}

  const RowShape& shape() const { return shape_; }
  int64_t distance() const { return distance_; }  // from one row to the next in bytes
  Row operator[](int64_t row) const { return {shape_.row.data + row * distance_, &shape_}; }

 private:
  RowShape shape_;
  int64_t distance_;
};

// Rows of numbers of our own, contiguous and of the shape of a target's rows.
template <class T>
class OwnRows {
 public:
  OwnRows(const Rows& like, int64_t width, size_t count = 1, T initial = {})
      : numbers_(static_cast<size_t>(width) * count, initial),
        strides_(contiguous_strides(like.shape().row, width)),
        sizes_(sizes_of(like.shape().row, static_cast<int64_t>(count))),
        // Bytes until the walk gives them their type back.
        rows_({reinterpret_cast<char*>(numbers_.data()), sizeof(T), like.shape().row.dim + 1,
               sizes_.data(), strides_.data()}) {}
  OwnRows(const OwnRows&) = delete;
  OwnRows& operator=(const OwnRows&) = delete;

  const Rows& rows() const { return rows_; }
  Row operator[](int64_t row) const { return rows_[row]; }

 private:
  static std::vector<int64_t> sizes_of(const Operand& row, int64_t count) {
    std::vector<int64_t> sizes{count};
    sizes.insert(sizes.end(), row.sizes, row.sizes + row.dim);
    return sizes;
  }

  static std::vector<int64_t> contiguous_strides(const Operand& row, int64_t width) {
    std::vector<int64_t> strides{width};
    for (int64_t d = 0; d < row.dim; ++d)
      strides.push_back(strides[d] / std::max<int64_t>(row.sizes[d], 1));
    return strides;
  }

  std::vector<T> numbers_;
  std::vector<int64_t> strides_;
  std::vector<int64_t> sizes_;
  Rows rows_;
};

// Calls visit(from, to) for the elements of two rows.
template <class From, class To, class Visit>
void for_each_pair(Row from, Row to, int64_t width, Visit&& visit) {
  const auto walk = [&](std::array<char*, 2> at, std::array<int64_t, 2> step, int64_t n) {
    if (step[0] == sizeof(To) && step[1] == sizeof(From)) {  // in vectors
      for (int64_t i = 0; i < n; ++i) visit((&as<From>(at[1]))[i], (&as<To>(at[0]))[i]);
    } else {
      for (int64_t i = 0; i < n; ++i, at[0] += step[0], at[1] += step[1]) {
        visit(as<From>(at[1]), as<To>(at[0]));
      }
    }
  };
  if (to.step() && from.step()) {
    walk({to.data, from.data}, {*to.step(), *from.step()}, width);
  } else {
    for_each_run<2>({to.operand(), from.operand()}, walk);
  }
}

// Applies an op to a row: update_cells without its preparations, which a short row would feel.
template <class Op, class C, class Other, size_t N, class Scale>
void update_row(const std::array<Row, N>& rows, int64_t width, Scale scale) {
  Run<N> run;
  bool is_run = width < kGrain;
  for (size_t k = 0; k < N; ++k) {
    is_run = is_run && rows[k].step();
    run.at[k] = rows[k].data;
    run.step[k] = rows[k].step().value_or(0);
  }
  if (is_run) {
    update_run<Op, C, Other>(run, width, scale);
  } else {
    std::array<Operand, N> operands;
    for (size_t k = 0; k < N; ++k) operands[k] = rows[k].operand();
    update_cells<Op, C, Other>(operands, width, scale);
  }
}

}  // namespace atomics::cpu
