// The table of csrc/fast_table.h: exceptions become texts here.
#include "../fast_table.h"

#include <chrono>
#include <climits>
#include <cstring>
#include <exception>
#include <memory>

#include "futex.h"
#include "mutex/anchored.h"

struct atomics::fast::Mutex : atomics::mutex::AnchoredMutex {
  using AnchoredMutex::AnchoredMutex;
};

namespace atomics::cpu {

namespace {

using fast::Error;
using fast::Mutex;

template <class Result, class Call>
Result guarded(Error* error, Result failed, Call&& call) {
  try {
    return static_cast<Result>(call());
  } catch (const std::exception& caught) {
    std::strncpy(error->text, caught.what(), sizeof(error->text) - 1);
    error->text[sizeof(error->text) - 1] = '\0';
    return failed;
  }
}

void* map(const char* op, const void* address, size_t bytes, Error* error) {
  return guarded<void*>(error, nullptr, [&] {
    void* const mapped = mutex::map_again(op, address, bytes);
    if (mapped == nullptr) {
      fail(op, "tensor", "be shared (share_memory_() first)", "private memory");
    }
    if (mutex::is_writable(op, mapped)) return mapped;
    mutex::unmap(mapped, bytes);
    fail(op, "tensor", "be writable", "a read-only mapping");
  });
}

// Errors of the system end a sleep early, and the caller looks again.
void sleep(const uint32_t* word, uint32_t value, double seconds) {
  Error ignored;
  const std::chrono::duration<double> most(seconds);
  guarded<bool>(&ignored, false, [&] {
    futex::sleep("sleep", word, value, std::chrono::duration_cast<std::chrono::nanoseconds>(most));
    return true;
  });
}

// The word is mapped by its caller, so nothing can fail.
void wake(const uint32_t* word) { futex::wake("wake", word, INT_MAX); }

Mutex* open(const char* op, const void* slot, Error* error) {
  return guarded<Mutex*>(error, nullptr, [&] {
    // The address of a tensor that the caller has checked to be whole slots.
    return std::make_unique<Mutex>(op, static_cast<const mutex::Slot*>(slot)).release();
  });
}

void close(Mutex* mutex) { std::unique_ptr<Mutex>{mutex}; }

int try_lock(Mutex* mutex, Error* error) {
  return guarded(error, -1, [&] { return mutex->try_lock(); });
}

int lock_now(Mutex* mutex, Error* error) {
  return guarded(error, -1, [&] { return mutex->lock_now(); });
}

int lock(Mutex* mutex, double seconds, Error* error) {
  return guarded(error, -1, [&] { return mutex->lock(seconds); });
}

int unlock(Mutex* mutex, bool pass_death_on, Error* error) {
  return guarded(error, -1, [&] { return mutex->unlock(pass_death_on), 0; });
}

int consistent(Mutex* mutex, Error* error) {
  return guarded(error, -1, [&] { return mutex->consistent(), 0; });
}

int64_t owner(Mutex* mutex, Error* error) {
  return guarded<int64_t>(error, -1, [&] { return mutex->owner(); });
}

int64_t recoveries(Mutex* mutex, Error* error) {
  return guarded<int64_t>(error, -1, [&] { return mutex->recoveries(); });
}

constexpr fast::Table kTable{
    .version = fast::kVersion,
    .map = map,
    .unmap = mutex::unmap,
    .sleep = sleep,
    .wake = wake,
    .open = open,
    .close = close,
    .try_lock = try_lock,
    .lock_now = lock_now,
    .lock = lock,
    .unlock = unlock,
    .consistent = consistent,
    .owner = owner,
    .recoveries = recoveries,
};

}  // namespace

}  // namespace atomics::cpu

const atomics::fast::Table* atomics_fast_table() { return &atomics::cpu::kTable; }
