// What the op library offers to callers that go around the dispatcher: plain functions in one
// table, which is found by dlsym(atomics_fast_table). No torch header, no Python, no exception.
#pragma once

#include <cstddef>
#include <cstdint>

namespace atomics::fast {

// Changes with every change of the table, so that a stale build is told and not run.
constexpr uint32_t kVersion = 3;

struct Error {
  char text[512];
};

struct Mutex;  // a mutex that stays mapped while somebody has it open

struct Table {
  uint32_t version;

  // Maps the shared memory at [address, address + bytes) a second time. It is the caller's until
  // unmap, whatever becomes of the tensor. Null, and why, if that memory is private or read-only.
  void* (*map)(const char* op, const void* address, size_t bytes, Error* error);
  void (*unmap)(void* mapped, size_t bytes);

  // Sleeps while the word holds `value`, at most so long; wakes all who sleep on it.
  void (*sleep)(const uint32_t* word, uint32_t value, double seconds);
  void (*wake)(const uint32_t* word);

  // What the mutex ops do (csrc/cpu/mutex/robust_mutex.h), with their texts; -1 for an error.
  Mutex* (*open)(const char* op, const void* slot, Error* error);
  void (*close)(Mutex* mutex);
  int (*try_lock)(Mutex* mutex, Error* error);  // never waits; 0 also if this thread holds it
  int (*lock_now)(Mutex* mutex, Error* error);  // never waits; an error if this thread holds it
  int (*lock)(Mutex* mutex, double seconds, Error* error);
  int (*unlock)(Mutex* mutex, bool pass_death_on, Error* error);  // 0
  int (*consistent)(Mutex* mutex, Error* error);                  // 0
  int64_t (*owner)(Mutex* mutex, Error* error);                   // thread id, 0 if unlocked
  int64_t (*recoveries)(Mutex* mutex, Error* error);
};

}  // namespace atomics::fast

extern "C" __attribute__((visibility("default"))) const atomics::fast::Table* atomics_fast_table();
