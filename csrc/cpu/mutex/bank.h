// The duplicate mappings through which this process locks. No torch header here.
//
// A bank is locked through a second mapping of its memory that this library owns: the caller's
// tensor may be freed, resized or moved while a mutex in it is held, and glibc and the kernel still
// find it (both would follow a list through the caller's memory otherwise).
//
// | users | state | what may happen |
// | > 0   | held or being locked | stays mapped |
// | 0     | idle | kept for the next lock, unmapped when too many are idle |
#pragma once

#include <atomic>

#include "mapping.h"
#include "slot.h"

namespace atomics::mutex {

struct Bank {
  Slot* slots;  // in our mapping
  size_t bytes;
  Backing backing;
  // Leaves and reaches 0 under the registry's lock only; who is a user may count others in and out
  // without it.
  std::atomic<int64_t> users = 0;
  int64_t anchors = 0;  // of the users, those that a fork copies
  uint64_t last_used = 0;
};

// Counts as one user of a bank while it lives.
class Pin {
 public:
  // Finds the duplicate of the bank that the caller's `slot` lies in, or makes it. Refuses what is
  // not a live bank: a copy, a private or read-only mapping.
  Pin(const char* op, const Slot* slot, const Header& header);
  ~Pin();
  Pin(Pin&& other) noexcept;
  Pin& operator=(Pin&& other) noexcept;

  const Bank& bank() const { return *bank_; }
  Slot& slot() const { return *slot_; }  // the duplicate of the slot

  // The caller's slot lies in other memory than this duplicate by now: never find it again.
  void forget();

  // The thread ends while it holds the slot: it stays a user until the kernel has noted its death
  // in the slot, for which the memory has to be there.
  void orphan(uint32_t thread_id);

  // In the child of a fork, which starts without users.
  void abandon() { bank_ = nullptr; }

 private:
  friend class Anchor;
  Pin(Bank* bank, Slot* slot) : bank_(bank), slot_(slot) {}

  Bank* bank_;
  Slot* slot_;
  bool found_ = false;  // and not made for this pin
};

// Keeps a bank mapped for the life of an object, in forked children too.
class Anchor {
 public:
  Anchor(const char* op, const Slot* slot, const Header& header);
  ~Anchor();
  Anchor(const Anchor&) = delete;
  Anchor& operator=(const Anchor&) = delete;

  Slot& slot() const { return *slot_; }
  bool has_id(const Header& header) const {
    return header.id[0] == id_[0] && header.id[1] == id_[1];
  }

  // One more user, without a search.
  Pin pin() const;

 private:
  Bank* bank_;
  Slot* slot_;
  uint64_t id_[2];
};

// The caller's `slot` lies in the memory that the duplicate maps. Slow: asks the kernel.
bool same_memory(const char* op, const Slot* slot, const Pin& pin);

[[noreturn]] void fail_copy(const char* op);

}  // namespace atomics::mutex
