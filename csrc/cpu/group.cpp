#include "group.h"

#include <algorithm>
#include <bit>

namespace atomics::cpu {

namespace {

// The buckets of both tables below are never cleared: a bucket is in use if the group it names says
// that it lives there (the sparse sets of Briggs and Torczon, 1993). One set a thread, kept between
// calls.
class Buckets {
 public:
  explicit Buckets(uint64_t size) {
    if (kept().size() < size) kept().resize(size);
    data_ = kept().data();
  }
  ~Buckets() {
    constexpr size_t kMostKept = size_t{1} << 20;  // 4 MiB
    if (kept().size() > kMostKept) std::vector<uint32_t>().swap(kept());
  }
  Buckets(const Buckets&) = delete;
  Buckets& operator=(const Buckets&) = delete;

  uint32_t& operator[](uint64_t bucket) { return data_[bucket]; }

 private:
  static std::vector<uint32_t>& kept() {
    thread_local std::vector<uint32_t> buckets;
    return buckets;
  }

  uint32_t* data_;
};

// A bucket for each row. Compilers make a branch of whether the row is new; without one, each index
// would wait for what the one before it stored, which takes twice as long.
void group_direct(const std::vector<int64_t>& index, uint64_t row_count, Groups& groups) {
  Buckets buckets(row_count);
  int64_t* const rows = groups.rows.data();
  uint32_t* const group_of = groups.group.data();
  uint32_t count = 0;
  for (size_t i = 0; i < index.size(); ++i) {
    const int64_t row = index[i];
    uint32_t& bucket = buckets[static_cast<uint64_t>(row)];
    const uint32_t candidate = std::min(bucket, count);
    const bool seen = candidate < count && rows[candidate] == row;
    const uint32_t group = seen ? candidate : count;
    bucket = group;
    rows[group] = row;
    group_of[i] = group;
    count += !seen;
  }
  groups.rows.resize(count);
}

// Open addressing, at most half full.
void group_hashed(const std::vector<int64_t>& index, uint64_t size, Groups& groups) {
  Buckets buckets(size);
  std::vector<uint32_t> home(index.size());
  const int shift = 64 - std::countr_zero(size);
  uint32_t count = 0;
  for (size_t i = 0; i < index.size(); ++i) {
    const int64_t row = index[i];
    // Fibonacci hashing (Knuth, TAOCP 6.4): the high bits of row * 2**64 / golden ratio.
    uint64_t b = (static_cast<uint64_t>(row) * 0x9E3779B97F4A7C15u) >> shift;
    const auto in_use = [&] { return buckets[b] < count && home[buckets[b]] == b; };
    while (in_use() && groups.rows[buckets[b]] != row) b = (b + 1) & (size - 1);
    if (!in_use()) {
      buckets[b] = count;
      home[count] = static_cast<uint32_t>(b);
      groups.rows[count] = row;
      ++count;
    }
    groups.group[i] = buckets[b];
  }
  groups.rows.resize(count);
}

}  // namespace

Groups group_equal(const std::vector<int64_t>& index, int64_t row_count) {
  Groups groups{std::vector<int64_t>(index.size()), std::vector<uint32_t>(index.size())};
  const auto rows = static_cast<uint64_t>(row_count);
  const uint64_t hashed = std::bit_ceil(std::max<uint64_t>(2 * index.size(), 2));
  // Direct while its table, larger, is still of a size that caches hold.
  if (rows <= 8 * hashed) {
    group_direct(index, rows, groups);
  } else {
    group_hashed(index, hashed, groups);
  }
  return groups;
}

}  // namespace atomics::cpu
