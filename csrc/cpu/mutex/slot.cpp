#include "slot.h"

#include <sys/random.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cerrno>
#include <cstring>
#include <string>

#include "../../fail.h"
#include "mapping.h"

namespace atomics::mutex {

void init(const char* op, Slot* slots, int64_t count) {
  const auto mapping = find_mapping(op, slots);
  // Addresses as numbers, to compare them with the kernel's.
  const auto end = reinterpret_cast<uintptr_t>(slots + count);
  if (!mapping || !mapping->shared || end > mapping->end) {
    fail(op, "memory", "be shared (share_memory_() first)", "private memory");
  }
  if (!mapping->writable) fail(op, "memory", "be writable", "a read-only mapping");
  const auto* bytes = reinterpret_cast<const char*>(slots);  // a slot may be looked at as bytes
  if (std::any_of(bytes, bytes + count * sizeof(Slot), [](char byte) { return byte != 0; })) {
    fail(op, "memory", "be all zeros", "other bytes, perhaps a live mutex");
  }

  uint64_t id[2];
  if (getrandom(id, sizeof(id), 0) != sizeof(id)) {
    fail(op, "getrandom", "give 16 bytes", std::strerror(errno));
  }
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  // An enum in glibc: an #ifdef on it would silently drop the line.
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
  for (int64_t i = 0; i < count; ++i) {
    pthread_mutex_init(&slots[i].mutex, &attributes);
    Header& header = slots[i].header;
    header.version = kVersion;
    header.kind = kKind;
    header.libc = kLibc;
    header.mutex_size = sizeof(pthread_mutex_t);
    header.slot = static_cast<uint16_t>(i);
    header.slots = static_cast<uint16_t>(count);
    std::copy(id, id + 2, header.id);
    header.pid_namespace = pid_namespace();
    header.device = mapping->backing.device;
    header.inode = mapping->backing.inode;
    header.offset = mapping->backing.offset;
    __atomic_store_n(&header.magic, kMagic, __ATOMIC_RELEASE);
  }
  pthread_mutexattr_destroy(&attributes);
}

namespace {

Header checked(const char* op, const Header& header) {
  if (header.magic != kMagic) {
    fail(op, "mutex", "be made by create_mutex", "memory that holds no mutex");
  }
  if (header.version != kVersion || header.kind != kKind || header.libc != kLibc ||
      header.mutex_size != sizeof(pthread_mutex_t) || header.slot >= header.slots ||
      header.slots > kMostSlots) {
    fail(op, "mutex", "have this library's layout, version " + std::to_string(kVersion),
         "version " + std::to_string(header.version) + " of another build");
  }
  if (header.pid_namespace != pid_namespace()) {
    fail(op, "mutex", "be used in the pid namespace (container) that made it", "another one");
  }
  return header;
}

}  // namespace

Header read_header(const char* op, const Slot* slot) {
  // Who holds the mutex writes to some fields meanwhile, atomically. The magic, which is stored
  // last, comes with the first word.
  using Words = std::array<uint64_t, sizeof(Header) / sizeof(uint64_t)>;
  typedef uint64_t AnyWord __attribute__((may_alias));
  const auto* const from = reinterpret_cast<const AnyWord*>(&slot->header);
  Words words;
  for (size_t k = 0; k < words.size(); ++k) words[k] = __atomic_load_n(from + k, __ATOMIC_ACQUIRE);
  return checked(op, std::bit_cast<Header>(words));
}

Header read_header_after_wait(const char* op, const Slot* slot) {
  Header copy;
  if (!read_memory(&slot->header, &copy, sizeof(copy))) {
    fail(op, "mutex", "keep its memory while it is waited for", "one that was unmapped");
  }
  return checked(op, copy);
}

uint32_t lock_word(const Slot& slot) {
  return static_cast<uint32_t>(__atomic_load_n(&slot.mutex.__data.__lock, __ATOMIC_RELAXED));
}

uint32_t owner_of(const Slot* slot) { return lock_word(*slot) & kThreadIdBits; }

bool turn_is(const Slot* slot, uint16_t turn) {
  return __atomic_load_n(&slot->header.turn, __ATOMIC_RELAXED) == turn;
}

bool turn_is_after_wait(const Slot* slot, uint16_t turn) {
  uint16_t seen = 0;
  return read_memory(&slot->header.turn, &seen, sizeof(seen)) && seen == turn;
}

}  // namespace atomics::mutex
