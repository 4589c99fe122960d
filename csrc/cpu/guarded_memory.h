// The memory that is changed under locks only: in the checking mode, lock-free ops refuse it.
//
// Python notes it there (caffe2op_atomics/_guarded_memory.py); without the mode none is noted.
#pragma once

#include <cstddef>
#include <string>

#include "../register.h"
#include "../view.h"

namespace atomics::cpu {

bool any_memory_is_guarded();

// Raises if an element of the target lies in such memory.
void check_unguarded(const char* op, const Tensor& target);

// A kernel whose first argument is changed, or read, without a lock.
template <class Kernel, class Call = decltype(Kernel::call)>
struct LockFree;

template <class Kernel, class Result, class... Others>
struct LockFree<Kernel, Result(const Tensor&, Others...)> {
  static std::string name() { return Kernel::name(); }

  static Result call(const Tensor& target, Others... others) {
    if (any_memory_is_guarded()) [[unlikely]] {
      check_unguarded(name().substr(0, name().find('.')).c_str(), target);
    }
    return Kernel::call(target, others...);
  }
};

template <class... Kernels>
auto all_lock_free(TypeList<Kernels...>) -> TypeList<LockFree<Kernels>...>;
template <class Kernels>
using AllLockFree = decltype(all_lock_free(Kernels{}));

template <class... Kernels>
void implement_lock_free(torch::stable::detail::StableLibrary& m, TypeList<Kernels...>) {
  implement(m, AllLockFree<TypeList<Kernels...>>{});
}

}  // namespace atomics::cpu

// Each call of the first is undone by one of the second.
extern "C" __attribute__((visibility("default"))) void atomics_guard_memory(const void* begin,
                                                                            size_t bytes);
extern "C" __attribute__((visibility("default"))) void atomics_unguard_memory(const void* begin);
