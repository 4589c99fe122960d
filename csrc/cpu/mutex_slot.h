// From a mutex tensor to its slots: the checks that make it safe to look at the bytes.
#pragma once

#include "../check.h"
#include "../dispatch.h"
#include "mutex/slot.h"

namespace atomics::cpu {

inline void check_slot_count(const char* op, int64_t n) {
  if (n < 1 || n > mutex::kMostSlots) {
    fail(op, "n", "lie in [1, " + std::to_string(mutex::kMostSlots) + "]", std::to_string(n));
  }
}

// The first slot of a tensor of whole slots.
inline mutex::Slot* slots_of(const char* op, const View& view) {
  constexpr int64_t kSize = sizeof(mutex::Slot);
  check_dtype(op, view, TypeList<uint8_t>{});
  if (!view.tensor.is_contiguous() || view.numel % kSize != 0 || view.numel == 0) {
    fail(op, view.name, "be contiguous with 128 bytes for each mutex",
         "shape " + shape_name(view.dim, view.sizes));
  }
  if (view.numel / kSize > mutex::kMostSlots) {
    fail(op, view.name, "hold at most " + std::to_string(mutex::kMostSlots) + " mutexes",
         std::to_string(view.numel / kSize));
  }
  check_memory(op, view);
  auto* const data = view.tensor.mutable_data_ptr();
  // An address as a number, to look at its low bits.
  if (reinterpret_cast<uintptr_t>(data) % alignof(mutex::Slot) != 0) {
    fail(op, view.name, "be aligned to 64 bytes", "a view that is not");
  }
  return static_cast<mutex::Slot*>(data);
}

inline mutex::Slot* slot_of(const char* op, const Tensor& tensor, int64_t i) {
  const View view("mutex", tensor);
  mutex::Slot* const slots = slots_of(op, view);
  const int64_t count = view.numel / static_cast<int64_t>(sizeof(mutex::Slot));
  if (i < 0 || i >= count) {
    fail(op, "i", "lie in [0, " + std::to_string(count) + ")", std::to_string(i));
  }
  return slots + i;
}

}  // namespace atomics::cpu
