#include "stripe_order.h"

#include <numeric>

namespace atomics::cpu {

StripeOrder::StripeOrder(const mutex::Stripes& stripes, const View& target, int64_t first,
                         const std::vector<int64_t>& index)
    : mutexes_(stripes.count()),
      place_(target, first),
      index_(index.data()),
      distance_(target.strides[0] * target.itemsize),
      row_bytes_((last_offset(target) + 1) * target.itemsize - distance_ * (target.sizes[0] - 1)),
      start_(static_cast<size_t>(mutexes_) + 2),
      places_(index.size()) {
  std::vector<uint16_t> mutex_of(index.size());
  for (size_t i = 0; i < index.size(); ++i) {
    const int64_t byte = byte_of(index[i]);
    const bool crosses =
        byte / mutex::kStripeBytes != (byte + row_bytes_ - 1) / mutex::kStripeBytes;
    const int64_t mutex = crosses ? mutexes_ : stripes.mutex_of(place_.first, byte);
    mutex_of[i] = static_cast<uint16_t>(mutex);
    ++start_[static_cast<size_t>(mutex) + 1];
  }
  std::partial_sum(start_.begin(), start_.end(), start_.begin());
  std::vector<uint32_t> next(start_.begin(), start_.end() - 1);
  for (size_t i = 0; i < index.size(); ++i) {
    places_[next[mutex_of[i]]++] = static_cast<uint32_t>(i);
  }
}

}  // namespace atomics::cpu
