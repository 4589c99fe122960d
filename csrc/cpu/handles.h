// Handles: numbers, in tensors, that name tensors of this process. A compiler may copy the number
// and write it back; the op that gets it works on the tensor that was registered.
#pragma once

#include <memory>

#include "../view.h"
#include "mutex/bank.h"

namespace atomics::cpu {

// Who sleeps on a target and is woken by ops on its handle.
enum Sleepers : int64_t { kNobody = 0, kOfCounter = 1, kOfFlag = 2 };

// What a handle names. The tensors stay alive as long as it does.
struct Registered {
  Tensor target;
  const void* address;  // of target's memory: a tensor that moves is no longer the one it was
  Tensor mutex;         // the bank that guards it, or none
  std::unique_ptr<mutex::Anchor> anchor = nullptr;  // keeps the library's mapping of the bank
  int64_t first = 0;                                // the mutex of byte 0 of its storage
  Sleepers sleepers = kNobody;
};

// Registers what was checked, and returns the handle: an int64 of no dimension.
Tensor make_handle(const char* op, Registered&& registered);

// Forgets it, once no op uses it. Raises if the handle names nothing here.
void release_handle(const char* op, const Tensor& handle);

// What a handle names, for the length of an op.
class HandleUse {
 public:
  HandleUse(const char* op, const Tensor& handle);
  ~HandleUse();
  HandleUse(const HandleUse&) = delete;
  HandleUse& operator=(const HandleUse&) = delete;

  const Registered& operator*() const { return *registered_; }
  const Registered* operator->() const { return registered_; }

  // After a change: wakes those who sleep on the target.
  void wake() const;

 private:
  uint32_t slot_;
  const Registered* registered_;
};

}  // namespace atomics::cpu

// As handle_release, by its number: no op, which a trace that happens to be under way would see.
extern "C" __attribute__((visibility("default"))) void atomics_release_handle(int64_t handle);
