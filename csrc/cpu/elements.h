// Indexed updates of rows of one element: what the sources of a row make together is calculated
// first, in the order of the call, then the cell is updated.
#pragma once

#include <bit>
#include <vector>

#include "group.h"
#include "rows.h"

namespace atomics::cpu {

// A thread's table of slots, one for each row, kept between calls and all zeros then: who writes to
// one has to clear it again.
class SlotTable {
 public:
  // Whether it pays: while caches hold it, or if there are about as many indices as rows. Rows can
  // be numbered in 32 bits then.
  static bool pays(int64_t rows, int64_t slot_size, int64_t indices) {
    return rows * slot_size <= kMostKept || (rows <= 16 * indices && rows <= UINT32_MAX);
  }

  SlotTable(int64_t rows, int64_t slot_size) {
    const auto bytes = static_cast<size_t>(rows * slot_size);
    if (kept().size() < bytes) kept().resize(bytes);
  }
  ~SlotTable() {
    if (kept().size() > size_t{kMostKept}) std::vector<char>().swap(kept());
  }
  SlotTable(const SlotTable&) = delete;
  SlotTable& operator=(const SlotTable&) = delete;

  template <class Slot>
  Slot* slots() {
    return reinterpret_cast<Slot*>(kept().data());
  }

 private:
  static constexpr int64_t kMostKept = int64_t{1} << 20;  // bytes

  static std::vector<char>& kept() {
    thread_local std::vector<char> bytes;
    return bytes;
  }
};

// Makes the sum of each row's sources and calls use(rows, count, take): the rows that have any,
// each of which has to be asked for its sum by take(row), which forgets it.
//
// Each row's slot holds its sum as the bits that differ from those of the op's identity: zeros are
// no source yet, of every op and dtype. An index is read once and checked; `use` is called when all
// of them are.
template <class Op, class C, class Index, class Use>
void sum_by_table(const char* op, int64_t row_count, const View& index, const Operand& source,
                  Use&& use) {
  using Sum = Widened<C>;
  using Slot = Bits<Sum>;
  const auto none = std::bit_cast<Slot>(Op::template identity<Sum>());
  const auto sum_of = [&](Slot slot) { return std::bit_cast<Sum>(static_cast<Slot>(slot ^ none)); };
  SlotTable table(row_count, sizeof(Slot));
  auto* const slots = table.slots<Slot>();

  const int64_t index_step = index.strides[0];
  const int64_t source_step = source.strides[0] * source.itemsize;

  // Of the rows with a source. One whose sum is the identity again gets into it again, and the
  // update with what the identity is then changes nothing.
  std::vector<uint32_t> rows(static_cast<size_t>(index.numel));
  size_t count = 0;
  const auto* next = static_cast<const Index*>(index.data);
  char* other = source.data;
  for (int64_t left = index.numel; left > 0; --left, next += index_step, other += source_step) {
    const auto row = static_cast<uint64_t>(__atomic_load_n(next, __ATOMIC_RELAXED));
    if (row >= static_cast<uint64_t>(row_count)) [[unlikely]] {
      for (size_t k = 0; k < count; ++k) slots[rows[k]] = 0;
      fail_index(op, index, static_cast<int64_t>(row), row_count);
    }
    Slot& slot = slots[row];
    rows[count] = static_cast<uint32_t>(row);
    count += slot == 0;
    const Sum sum = Op::combine(sum_of(slot), static_cast<Sum>(as<C>(other)));
    slot = std::bit_cast<Slot>(sum) ^ none;
  }
  use(rows.data(), count, [&](uint32_t row) {
    const Sum sum = sum_of(slots[row]);
    slots[row] = 0;
    return sum;
  });
}

template <class Op, class C, class Index, class Scale>
void update_by_table(const char* op, const Operand& cells, const View& index, const Operand& source,
                     Scale scale) {
  const int64_t step = cells.strides[0] * cells.itemsize;
  sum_by_table<Op, C, Index>(op, cells.sizes[0], index, source,
                             [&](const uint32_t* rows, size_t count, auto&& take) {
                               for (size_t k = 0; k < count; ++k) {
                                 const Ref<C, Bulk> cell(&as<C>(cells.data + rows[k] * step));
                                 Op::apply(cell, scale(take(rows[k])));
                               }
                             });
}

template <class Op, class C, class Scale>
void update_by_groups(const Operand& cells, const Groups& groups, const Operand& source,
                      Scale scale) {
  using Sum = Widened<C>;
  const Rows to(cells);
  const Rows from(source);
  std::vector<Sum> sums(groups.rows.size(), Op::template identity<Sum>());
  for (size_t i = 0; i < groups.group.size(); ++i) {
    Sum& sum = sums[groups.group[i]];
    const auto other = static_cast<Sum>(as<C>(from[static_cast<int64_t>(i)].data));
    sum = Op::combine(sum, other);
  }
  for (size_t g = 0; g < sums.size(); ++g) {
    Op::apply(Ref<C, Bulk>(&as<C>(to[groups.rows[g]].data)), scale(sums[g]));
  }
}

template <class Op, class C, class Scale>
void update_elements(const char* op, const Operand& cells, const View& index, const Operand& source,
                     Scale scale) {
  if (SlotTable::pays(cells.sizes[0], sizeof(Widened<C>), index.numel)) {
    dispatch(Indices{}, index.dtype, [&]<class Index>() {
      update_by_table<Op, C, Index>(op, cells, index, source, scale);
    });
  } else {
    const auto copy = copy_index(op, index, cells.sizes[0]);
    update_by_groups<Op, C>(cells, group_equal(copy, cells.sizes[0]), source, scale);
  }
}

}  // namespace atomics::cpu
