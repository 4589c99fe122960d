// The mutex ops: from a tensor argument to a slot, after all checks. Locking is in mutex/.
#include "../check.h"
#include "../dispatch.h"
#include "../register.h"
#include "memory.h"
#include "mutex/deaths.h"
#include "mutex/robust_mutex.h"
#include "mutex_slot.h"

namespace atomics::cpu {

using mutex::Slot;

namespace {

Tensor create(const char* op, int64_t n) {
  check_slot_count(op, n);
  const int64_t sizes[] = {n, sizeof(Slot)};
  Tensor bank = shared_zeros(op, 2, sizes, ScalarType::Byte);
  // Fresh zeroed pages are a bank of slots once they are initialised.
  mutex::init(op, static_cast<Slot*>(bank.mutable_data_ptr()), n);
  return bank;
}

struct CreateMutex {
  static std::string name() { return "create_mutex"; }

  static Tensor call(int64_t n, std::optional<Device> device) {
    // Fake tensors create on the meta device.
    if (device && device->type() == DeviceType::Meta) {
      check_slot_count("create_mutex", n);
      const int64_t sizes[] = {n, sizeof(Slot)};
      return empty(2, sizes, ScalarType::Byte, DeviceType::Meta);
    }
    check_cpu("create_mutex", device);
    return create("create_mutex", n);
  }
};

struct CreateMutexLike {
  static std::string name() { return "create_mutex.like"; }

  static Tensor call(const Tensor&, int64_t n) { return create("create_mutex", n); }
};

struct MutexInit {
  static std::string name() { return "mutex_init_"; }

  static void call(const Tensor& memory) {
    constexpr auto kName = "mutex_init_";
    const View view("memory", memory);
    Slot* const slots = slots_of(kName, view);
    if (memory.storage_offset() != 0 || memory.storage_bytes() != view.numel) {
      fail(kName, "memory", "have a storage of its own", "a view into a larger one");
    }
    mutex::init(kName, slots, view.numel / static_cast<int64_t>(sizeof(Slot)));
  }
};

struct MutexLock {
  static std::string name() { return "mutex_lock"; }

  static int64_t call(const Tensor& mutex, int64_t i, double timeout) {
    return mutex::lock("mutex_lock", slot_of("mutex_lock", mutex, i), timeout);
  }
};

struct MutexTryLock {
  static std::string name() { return "mutex_try_lock"; }

  static int64_t call(const Tensor& mutex, int64_t i) {
    return mutex::try_lock("mutex_try_lock", slot_of("mutex_try_lock", mutex, i));
  }
};

struct MutexUnlock {
  static std::string name() { return "mutex_unlock"; }

  static void call(const Tensor& mutex, int64_t i, bool pass_death_on) {
    mutex::unlock("mutex_unlock", slot_of("mutex_unlock", mutex, i), pass_death_on);
  }
};

struct MutexConsistent {
  static std::string name() { return "mutex_consistent"; }

  static void call(const Tensor& mutex, int64_t i) {
    mutex::consistent("mutex_consistent", slot_of("mutex_consistent", mutex, i));
  }
};

struct MutexOwner {
  static std::string name() { return "mutex_owner"; }

  static int64_t call(const Tensor& mutex, int64_t i) {
    return mutex::owner("mutex_owner", slot_of("mutex_owner", mutex, i));
  }
};

struct MutexRecoveries {
  static std::string name() { return "mutex_recoveries"; }

  static std::tuple<int64_t, int64_t> call(const Tensor& mutex) {
    constexpr auto kName = "mutex_recoveries";
    const View view("mutex", mutex);
    const int64_t count = view.numel / static_cast<int64_t>(sizeof(Slot));
    const mutex::Deaths deaths = mutex::deaths(kName, slots_of(kName, view), count);
    return {deaths.recoveries, deaths.torn};
  }
};

using Kernels = TypeList<CreateMutexLike, MutexInit, MutexLock, MutexTryLock, MutexUnlock,
                         MutexConsistent, MutexOwner, MutexRecoveries>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CompositeExplicitAutograd, m) {
  implement(m, TypeList<CreateMutex>{});
}
STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) { implement(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) { refuse<NegativeView>(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) { refuse<ConjugateView>(m, Kernels{}); }

}  // namespace atomics::cpu
