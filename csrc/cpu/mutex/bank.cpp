#include "bank.h"

#include <pthread.h>

#include <algorithm>
#include <array>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "../../fail.h"

namespace atomics::mutex {

namespace {

// An address alone does not name a bank: addresses are reused, and a new bank would be locked
// through the mapping of an old one.
using Key = std::pair<const Slot*, std::array<uint64_t, 2>>;

Key key_of(const Slot* slot, const Header& header) {
  return {slot - header.slot, {header.id[0], header.id[1]}};
}

// A thread ended while it held the slot: a user of the bank until the kernel has seen to it.
struct Orphan {
  Bank* bank;
  const Slot* slot;
  uint32_t thread_id;
};

struct Registry {
  std::mutex mutex;
  std::list<Bank> banks;       // those with users or found by `found`
  std::map<Key, Bank*> found;  // by the caller's address of slot 0 and the bank's id
  std::vector<Orphan> orphans;
  uint64_t clock = 0;
};

// Never destroyed: threads may still lock while the process exits.
Registry& registry() {
  static Registry& the = *std::make_unique<Registry>().release();
  return the;
}

// A kept page keeps the whole file behind it alive, and a process has some 65,000 mappings. But to
// map a bank again takes a hundred times as long as a small update under it, so a model's worth of
// them is kept.
constexpr size_t kMostIdle = 128;

void remove(Registry& all, std::list<Bank>::iterator bank) {
  unmap(bank->slots, bank->bytes);
  std::erase_if(all.found, [&](const auto& entry) { return entry.second == &*bank; });
  all.banks.erase(bank);
}

void trim(Registry& all) {
  std::erase_if(all.orphans, [](const Orphan& orphan) {
    const bool seen_to = owner_of(orphan.slot) != orphan.thread_id;
    if (seen_to) --orphan.bank->users;
    return seen_to;
  });
  for (;;) {
    size_t idle = 0;
    auto oldest = all.banks.end();
    for (auto bank = all.banks.begin(); bank != all.banks.end(); ++bank) {
      if (bank->users > 0) continue;
      ++idle;
      if (oldest == all.banks.end() || bank->last_used < oldest->last_used) oldest = bank;
    }
    if (idle <= kMostIdle) return;
    remove(all, oldest);
  }
}

Bank& duplicate(Registry& all, const char* op, const Slot* slot, const Header& header) {
  const Slot* const first = slot - header.slot;
  const auto begin =
      reinterpret_cast<uintptr_t>(first);  // to be compared with the kernel's numbers
  const size_t length = header.slots * sizeof(Slot);
  const auto mapping = find_mapping(op, first);
  if (!mapping || begin + length > mapping->end || !mapping->shared) fail_copy(op);
  if (!mapping->writable) fail(op, "mutex", "be writable", "a read-only mapping");
  if (mapping->backing != Backing{header.device, header.inode, header.offset}) fail_copy(op);

  void* const slots = map_again(op, first, length);
  if (slots == nullptr) fail_copy(op);
  // The same bytes as the caller's slots.
  return all.banks.emplace_back(static_cast<Slot*>(slots), length, mapping->backing);
}

void lock_registry() { registry().mutex.lock(); }
void unlock_registry() { registry().mutex.unlock(); }

// The child holds nothing; its objects stay open.
void reset_registry() {
  Registry& all = registry();
  for (Bank& bank : all.banks) bank.users = bank.anchors;
  all.orphans.clear();
  all.mutex.unlock();
}

[[maybe_unused]] const int forks = pthread_atfork(lock_registry, unlock_registry, reset_registry);

}  // namespace

void fail_copy(const char* op) {
  fail(op, "mutex", "be the memory that create_mutex or mutex_init_ made",
       "a copy (clone, deepcopy, load and share_memory_ copy; make a new one with create_mutex)");
}

bool same_memory(const char* op, const Slot* slot, const Pin& pin) {
  if (slot == &pin.slot()) return true;
  std::optional<Mapping> mapping;
  try {
    mapping = find_mapping(op, slot);
  } catch (const std::runtime_error&) {
    return true;  // cannot be told; once acquired, the lock word at the caller's address tells
  }
  if (!mapping) return false;
  Backing expected = pin.bank().backing;
  // Both are addresses in one array.
  expected.offset += static_cast<uint64_t>(reinterpret_cast<const char*>(&pin.slot()) -
                                           reinterpret_cast<const char*>(pin.bank().slots));
  return mapping->backing == expected;
}

Pin::Pin(const char* op, const Slot* slot, const Header& header) {
  Registry& all = registry();
  const std::lock_guard<std::mutex> guard(all.mutex);
  const Key key = key_of(slot, header);
  const auto found = all.found.find(key);
  if (found != all.found.end()) {
    bank_ = found->second;
    found_ = true;
  } else {
    bank_ = &duplicate(all, op, slot, header);
    all.found.emplace(key, bank_);
  }
  ++bank_->users;
  bank_->last_used = ++all.clock;
  slot_ = bank_->slots + header.slot;
}

Pin::~Pin() {
  if (bank_ == nullptr) return;
  for (int64_t users = bank_->users; users > 1;) {
    if (bank_->users.compare_exchange_weak(users, users - 1)) return;
  }
  Registry& all = registry();
  const std::lock_guard<std::mutex> guard(all.mutex);
  if (--bank_->users == 0) trim(all);
}

void Pin::orphan(uint32_t thread_id) {
  Registry& all = registry();
  const std::lock_guard<std::mutex> guard(all.mutex);
  trim(all);  // of the threads that ended before
  all.orphans.push_back({bank_, slot_, thread_id});
  bank_ = nullptr;
}

Pin::Pin(Pin&& other) noexcept
    : bank_(std::exchange(other.bank_, nullptr)), slot_(std::exchange(other.slot_, nullptr)) {}

Pin& Pin::operator=(Pin&& other) noexcept {
  std::swap(bank_, other.bank_);
  std::swap(slot_, other.slot_);
  return *this;
}

void Pin::forget() {
  Registry& all = registry();
  const std::lock_guard<std::mutex> guard(all.mutex);
  std::erase_if(all.found, [&](const auto& entry) { return entry.second == bank_; });
}

Anchor::Anchor(const char* op, const Slot* slot, const Header& header)
    : id_{header.id[0], header.id[1]} {
  Pin pin(op, slot, header);
  if (pin.found_ &&
      !same_memory(op, slot, pin)) {  // a byte copy, where the original was mapped before
    pin.forget();
    pin = Pin(op, slot, header);
  }
  bank_ = pin.bank_;
  slot_ = pin.slot_;
  const std::lock_guard<std::mutex> guard(registry().mutex);
  ++bank_->anchors;
  ++bank_->users;
}

// Nothing is kept for a next lock: an object that is gone is not locked again.
Anchor::~Anchor() {
  Registry& all = registry();
  const std::lock_guard<std::mutex> guard(all.mutex);
  --bank_->anchors;
  if (--bank_->users > 0) return;
  remove(all, std::find_if(all.banks.begin(), all.banks.end(),
                           [&](const Bank& bank) { return &bank == bank_; }));
}

Pin Anchor::pin() const {
  ++bank_->users;
  return Pin(bank_, slot_);
}

}  // namespace atomics::mutex
