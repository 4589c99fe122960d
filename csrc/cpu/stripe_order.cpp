#include "stripe_order.h"

#include "rows.h"

namespace atomics::cpu {

namespace {

// Calls visit(i, row) for every index, the last one first. Each is read once: another process may
// change it.
template <class Visit>
void for_each_index(const char* op, const View& index, int64_t row_count, Visit visit) {
  dispatch(Indices{}, index.dtype, [&]<class T>() {
    const auto* const data = static_cast<const T*>(index.data);
    const int64_t stride = index.strides[0];
    for (int64_t i = index.numel - 1; i >= 0; --i) {
      const int64_t row = data[i * stride];
      if (row < 0 || row >= row_count) fail_index(op, index, row, row_count);
      visit(i, row);
    }
  });
}

}  // namespace

StripeOrder::StripeOrder(const char* op, const mutex::Stripes& stripes, const View& target,
                         int64_t first, int64_t count)
    : op_(op),
      mutexes_(stripes.count()),
      count_(count),
      place_(target, first),
      distance_(target.strides[0] * target.itemsize),
      row_bytes_(0),
      bytes_(target.numel == 0 ? 0 : (last_offset(target) + 1) * target.itemsize),
      together_(has_few_stripes(target) || mutexes_ == 1),
      rows_(std::make_unique_for_overwrite<int64_t[]>(static_cast<size_t>(count_))) {
  row_bytes_ = bytes_ - distance_ * (target.sizes[0] - 1);
}

StripeOrder::StripeOrder(const char* op, const mutex::Stripes& stripes, const View& target,
                         int64_t first, const View& index)
    : StripeOrder(op, stripes, target, first, index.numel) {
  take(stripes, [&](auto visit) { for_each_index(op, index, target.sizes[0], visit); });
}

StripeOrder::StripeOrder(const char* op, const mutex::Stripes& stripes, const View& target,
                         int64_t first, const std::vector<int64_t>& rows)
    : StripeOrder(op, stripes, target, first, static_cast<int64_t>(rows.size())) {
  take(stripes, [&](auto visit) {
    for (int64_t i = count_ - 1; i >= 0; --i) visit(i, rows[static_cast<size_t>(i)]);
  });
}

template <class ForEachIndex>
void StripeOrder::take(const mutex::Stripes& stripes, ForEachIndex for_each_index) {
  // Numbers of our own, which the stores of the loop cannot change.
  int64_t* const rows = rows_.get();
  if (together_) return for_each_index([rows](int64_t i, int64_t row) { rows[i] = row; });

  heads_.assign(static_cast<size_t>(mutexes_) + 1, kEnd);
  next_ = std::make_unique_for_overwrite<uint32_t[]>(static_cast<size_t>(count_));
  uint32_t* const heads = heads_.data();
  uint32_t* const next = next_.get();
  const auto mutex_of = [first = place_.first, count = stripes.numbering()](int64_t byte) {
    return count.mutex_of(first, byte);
  };
  for_each_index([=, begin = place_.byte, distance = distance_, past = row_bytes_ - 1,
                  crossing = mutexes_](int64_t i, int64_t row) {
    const int64_t byte = begin + row * distance;
    const bool crosses = byte / mutex::kStripeBytes != (byte + past) / mutex::kStripeBytes;
    uint32_t& head = heads[crosses ? crossing : mutex_of(byte)];
    rows[i] = row;
    next[i] = head;
    head = static_cast<uint32_t>(i);
  });
}

}  // namespace atomics::cpu
