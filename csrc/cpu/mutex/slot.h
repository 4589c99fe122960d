// The layout of one mutex in shared memory: 64 bytes that say what it is, 64 bytes with a robust
// pthread mutex, so that neither straddles a page. A bank is an array of slots. No torch header.
#pragma once

#include <pthread.h>

#include <cstddef>
#include <cstdint>

#ifndef __GLIBC__
#error "the slot holds glibc's robust pthread_mutex_t; another libc needs its own tag in kLibc"
#endif

namespace atomics::mutex {

constexpr uint32_t kMagic = 0x584d5441;  // "ATMX"
constexpr uint16_t kVersion = 1;
constexpr uint8_t kKind = 1;  // a mutex; later kinds share the header
constexpr uint8_t kLibc = 1;  // glibc

// The kernel recovers at most 2048 robust mutexes of a dead thread and forgets the rest.
constexpr int64_t kMostSlots = 1024;

// What a locker has to be told although the pthread mutex knows nothing of it.
enum News : uint32_t {
  kNone = 0,
  kOwnerDied = 1,  // an owner died and no locker has been told yet
  kLost = 2,       // one was told and unlocked without repair; stays for ever
};

struct Header {
  uint32_t magic;  // stored last
  uint16_t version;
  uint8_t kind;
  uint8_t libc;
  uint16_t mutex_size;
  uint16_t slot;   // which slot of its bank this is
  uint16_t slots;  // how many the bank has
  uint16_t turn;   // counts acquisitions: seen to change at two addresses, they are one memory
  uint64_t id[2];  // random, one per bank
  uint32_t pid_namespace;  // thread ids mean something in one namespace only
  uint32_t device;         // device, inode, offset: where the bank was made. A byte copy lies
  uint64_t inode;          // elsewhere, which is how it is told from the original.
  uint64_t offset;
  uint32_t news;        // of the kinds below, under the lock
  uint32_t recoveries;  // owners that died, ever
};

// What guarded ops keep beside the lock, in its cache line and under it: twice the number of steps
// that a death tore, plus 1 while the holder changes several tensors together. So that a death ends
// such a step, and is counted, by one store.
struct Stripe {
  uint64_t torn_and_in_step;
  uint64_t unused;
};

struct alignas(64) Slot {
  Header header;
  alignas(64) pthread_mutex_t mutex;
  alignas(16) Stripe stripe;
};

// The lock word as the kernel and glibc write it: a thread's id and two flags.
constexpr uint32_t kOwnerDiedBit = 0x40000000;
constexpr uint32_t kThreadIdBits = 0x3fffffff;
uint32_t lock_word(const Slot& slot);

// Makes `count` unlocked mutexes of the zeroed, shared memory at `slots`.
void init(const char* op, Slot* slots, int64_t count);

// A private copy of the header, for others may write to the slot at any time. Raises unless it is
// one of this library and libc, in this pid namespace.
Header read_header(const char* op, const Slot* slot);

// The same for a slot that may have been unmapped since the op began to wait: raises then.
Header read_header_after_wait(const char* op, const Slot* slot);

// The thread that holds the mutex as the kernel sees it, or 0. May change at any time.
uint32_t owner_of(const Slot* slot);

// Whether the slot shows this turn; the second for one that may have been unmapped.
bool turn_is(const Slot* slot, uint16_t turn);
bool turn_is_after_wait(const Slot* slot, uint16_t turn);

static_assert(sizeof(Header) == 64);
static_assert(sizeof(pthread_mutex_t) <= 48);
static_assert(offsetof(Slot, mutex) == 64);
static_assert(offsetof(Slot, stripe) == 112);
static_assert(sizeof(Slot) == 128);

}  // namespace atomics::mutex
