// Caffe2's atomic ops under torch, with the semantics of caffe2/operators/atomic_ops.cc and
// iter_op.h where design and reason allow; the differences are in docs/caffe2.md.
#include <climits>
#include <limits>

#include "../check.h"
#include "../dispatch.h"
#include "../register.h"
#include "cells.h"
#include "futex.h"
#include "memory.h"
#include "mutex/robust_mutex.h"
#include "mutex_slot.h"

namespace atomics::cpu {

namespace {

template <class T>
Tensor scalar(T value) {
  Tensor result = empty(0, nullptr, CppTypeToScalarType<T>::value, DeviceType::CPU);
  *static_cast<T*>(result.mutable_data_ptr()) = value;  // allocated with this dtype
  return result;
}

template <class T>
struct AtomicFetchAdd {
  static constexpr const char* kName = sizeof(T) == 4 ? "atomic_fetch_add" : "atomic_fetch_add64";
  static std::string name() { return kName; }

  static std::tuple<Tensor, Tensor> call(const Tensor& mutex, const Tensor& mut_value,
                                         const Tensor& increment) {
    const View value("mut_value", mut_value);
    const View added("increment", increment);
    for (const View* each : {&value, &added}) {
      check_device(kName, mutex, each->name, each->tensor, "mutex");
      check_dtype(kName, *each, TypeList<T>{});
      check_one_element(kName, *each);
      check_memory(kName, *each);
    }
    check_written(kName, value);
    const auto* slot = slot_of(kName, mutex, 0);
    check_no_overlap(kName, {"mutex", mutex}, value);

    const mutex::OpLock lock(kName, slot);
    // Atomic although locked: others may read the value without the mutex.
    const Ref<T, Single> cell(static_cast<T*>(mut_value.mutable_data_ptr()));
    const T old = cell.load();
    const auto step = *static_cast<const Wrapping<T>*>(increment.const_data_ptr());
    const auto sum = static_cast<T>(Add::combine(static_cast<Wrapping<T>>(old), step));
    std::tuple<Tensor, Tensor> result{scalar(sum), scalar(old)};
    cell.store(sum);
    return result;
  }
};

struct AtomicIter {
  static constexpr const char* kName = "atomic_iter";
  static std::string name() { return kName; }

  static Tensor call(const Tensor& mutex, const Tensor& iter) {
    const View view("iter", iter);
    check_device(kName, mutex, "iter", iter, "mutex");
    check_dtype(kName, view, TypeList<int64_t>{});
    check_one_element(kName, view);
    check_memory(kName, view);
    check_written(kName, view);
    const auto* slot = slot_of(kName, mutex, 0);
    check_no_overlap(kName, {"mutex", mutex}, view);

    const mutex::OpLock lock(kName, slot);
    const Ref<int64_t, Single> cell(static_cast<int64_t*>(iter.mutable_data_ptr()));
    const int64_t old = cell.load();
    if (old < 0) fail(kName, "iter", "not be negative", std::to_string(old));
    if (old == std::numeric_limits<int64_t>::max()) {
      fail(kName, "iter", "be below the largest int64", std::to_string(old));
    }
    Tensor result = empty_like(view);
    *static_cast<int64_t*>(result.mutable_data_ptr()) = old + 1;
    cell.store(old + 1);
    return result;
  }
};

// A flag is an int32, the smallest thing that a thread can sleep on (futex).
constexpr int64_t kFlagSizes[] = {1};

struct CreateAtomicBool {
  static std::string name() { return "create_atomic_bool"; }

  static Tensor call(std::optional<Device> device) {
    if (device && device->type() == DeviceType::Meta) {
      return empty(1, kFlagSizes, ScalarType::Int, DeviceType::Meta);
    }
    check_cpu("create_atomic_bool", device);
    return shared_zeros("create_atomic_bool", 1, kFlagSizes, ScalarType::Int);
  }
};

struct CreateAtomicBoolLike {
  static std::string name() { return "create_atomic_bool.like"; }

  static Tensor call(const Tensor&) {
    return shared_zeros("create_atomic_bool", 1, kFlagSizes, ScalarType::Int);
  }
};

Ref<int32_t, Single> flag_of(const char* op, const Tensor& atomic_bool) {
  const View flag("atomic_bool", atomic_bool);
  check_dtype(op, flag, TypeList<int32_t>{});
  check_one_element(op, flag);
  check_memory(op, flag);
  return Ref<int32_t, Single>(static_cast<int32_t*>(atomic_bool.mutable_data_ptr()));
}

struct ConditionalSetAtomicBool {
  static std::string name() { return "conditional_set_atomic_bool"; }

  static void call(const Tensor& atomic_bool, const Tensor& condition) {
    constexpr auto kName = "conditional_set_atomic_bool";
    const View view("condition", condition);
    check_device(kName, atomic_bool, "condition", condition, "atomic_bool");
    check_dtype(kName, view, TypeList<bool>{});
    check_one_element(kName, view);
    check_memory(kName, view);
    const auto flag = flag_of(kName, atomic_bool);
    check_written(kName, {"atomic_bool", atomic_bool});
    // As a byte: a bool that was made of other bytes can hold more than 0 and 1.
    if (*static_cast<const uint8_t*>(condition.const_data_ptr()) == 0) return;
    // Sleepers wait while it is false, so only the change has to wake them. The kernel's view of
    // an int32.
    if (flag.exchange(1) == 0) {
      futex::wake(kName, static_cast<const uint32_t*>(atomic_bool.mutable_data_ptr()), INT_MAX);
    }
  }
};

struct CheckAtomicBool {
  static std::string name() { return "check_atomic_bool"; }

  static Tensor call(const Tensor& atomic_bool) {
    const auto flag = flag_of("check_atomic_bool", atomic_bool);
    Tensor result = empty(1, kFlagSizes, ScalarType::Bool, DeviceType::CPU);
    *static_cast<bool*>(result.mutable_data_ptr()) = flag.load() != 0;
    return result;
  }
};

using Kernels = TypeList<AtomicFetchAdd<int32_t>, AtomicFetchAdd<int64_t>, AtomicIter,
                         CreateAtomicBoolLike, ConditionalSetAtomicBool, CheckAtomicBool>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CompositeExplicitAutograd, m) {
  implement(m, TypeList<CreateAtomicBool>{});
}
STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) { implement(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) { refuse<NegativeView>(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) { refuse<ConjugateView>(m, Kernels{}); }

}  // namespace atomics::cpu
