#include "group.h"

#include <algorithm>
#include <bit>

namespace atomics::cpu {

namespace {

// A hash table that is never cleared: bucket b is in use if the group it names says that it lives
// in b (the sparse sets of Briggs and Torczon, 1993, with open addressing).
class Table {
 public:
  Table(size_t indices, int64_t row_count) {
    const uint64_t hashed = std::bit_ceil(2 * uint64_t{indices});
    const uint64_t direct = std::bit_ceil(static_cast<uint64_t>(row_count));
    // A bucket for each row saves the hashing and all collisions while it stays in cache.
    direct_ = direct <= 8 * hashed;
    const uint64_t size = std::max<uint64_t>(direct_ ? direct : hashed, 2);
    shift_ = 64 - std::countr_zero(size);
    if (buckets().size() < size) buckets().resize(size);
    size_ = size;
  }

  ~Table() {
    constexpr size_t kKept = size_t{1} << 20;  // elements a thread keeps between calls: 4 MiB
    if (buckets().size() > kKept) std::vector<uint32_t>().swap(buckets());
  }

  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;

  void group(const std::vector<int64_t>& index, Groups& groups) {
    uint32_t* const bucket = buckets().data();
    std::vector<uint32_t> home(index.size());
    groups.rows.resize(index.size());
    groups.group.resize(index.size());
    uint32_t count = 0;
    for (size_t i = 0; i < index.size(); ++i) {
      const int64_t row = index[i];
      uint32_t b = start(row);
      for (;;) {
        const uint32_t g = bucket[b];
        if (g >= count || home[g] != b) {
          bucket[b] = count;
          home[count] = b;
          groups.rows[count] = row;
          groups.group[i] = count++;
          break;
        }
        if (groups.rows[g] == row) {
          groups.group[i] = g;
          break;
        }
        b = static_cast<uint32_t>((b + 1) & (size_ - 1));
      }
    }
    groups.rows.resize(count);
  }

 private:
  static std::vector<uint32_t>& buckets() {
    thread_local std::vector<uint32_t> kept;
    return kept;
  }

  uint32_t start(int64_t row) const {
    if (direct_) return static_cast<uint32_t>(row);
    // Fibonacci hashing (Knuth, TAOCP 6.4): the high bits of row * 2**64 / golden ratio.
    return static_cast<uint32_t>((static_cast<uint64_t>(row) * 0x9E3779B97F4A7C15u) >> shift_);
  }

  bool direct_;
  int shift_;
  uint64_t size_;
};

}  // namespace

Groups group_equal(const std::vector<int64_t>& index, int64_t row_count) {
  Groups groups;
  Table(index.size(), row_count).group(index, groups);
  return groups;
}

}  // namespace atomics::cpu
