// Waiting for another thread or process to change a one-element target, and waking those who wait.
#include <bit>
#include <limits>

#include "../check.h"
#include "../dispatch.h"
#include "../register.h"
#include "deadline.h"
#include "futex.h"
#include "guarded_memory.h"
#include "ref.h"
#include "wait_loop.h"

namespace atomics::cpu {

namespace {

// The kernel has no futex of 64 bits: an int64 is waited for on its low word, which comes first.
static_assert(std::endian::native == std::endian::little);
using Waitable = TypeList<int32_t, int64_t>;

void check_waitable(const char* op, const View& view) {
  check_dtype(op, view, Waitable{});
  check_one_element(op, view);
  check_memory(op, view);
}

// A futex is 32 bits, whatever type they are part of; only the kernel reads them as such.
const uint32_t* words_of(const Tensor& tensor) {
  return reinterpret_cast<const uint32_t*>(tensor.mutable_data_ptr());
}

// Another tensor on target's storage, so that `target.data = other` in another thread does not free
// it. The C shim makes it without the dispatcher; its last number is added to target's offset.
Tensor hold_storage(const Tensor& target) {
  AtenTensorHandle handle = nullptr;
  TORCH_ERROR_CODE_CHECK(
      aoti_torch__reinterpret_tensor(target.get(), /*ndim=*/0, nullptr, nullptr, 0, &handle));
  return Tensor(handle);
}

// What is waited on. All looks are the kernel's.
template <class T>
struct Words {
  const char* op;
  const View& target;
  T old;

  void sleep(std::chrono::nanoseconds most) const {
    futex::sleep(op, words_of(target.tensor), static_cast<uint32_t>(old), most);
  }
  // The words are compared one after the other while others write: that none differs may be wrong,
  // and the next look finds it; that one differs is right, because an equal value has equal words.
  bool changed() const {
    check_memory(op, target);  // the storage may have been resized, or moved by share_memory_
    const uint32_t* const words = words_of(target.tensor);
    bool same = futex::holds(op, words, static_cast<uint32_t>(old));
    if constexpr (sizeof(T) == 8) {
      same = same && futex::holds(op, words + 1, static_cast<uint32_t>(old >> 32));
    }
    return !same;
  }
  void fence() const { std::atomic_thread_fence(std::memory_order_seq_cst); }
};

template <class T>
bool wait_for(const char* op, const View& target, T old, double timeout) {
  const Deadline deadline(op, timeout);
  // The dtype has been dispatched, the alignment checked.
  if (Ref<T, Single>(static_cast<T*>(target.tensor.mutable_data_ptr())).load() != old) return true;
  const Tensor held = hold_storage(target.tensor);
  return sleep_until_changed(Words<T>{op, View("target", held), old}, deadline);
}

struct Wait {
  static constexpr const char* kName = "wait";
  static std::string name() { return kName; }

  static bool call(const Tensor& target, int64_t old, double timeout) {
    const View view("target", target);
    check_waitable(kName, view);
    bool changed = false;
    dispatch(Waitable{}, view.dtype, [&]<class T>() {
      check_fits<T>(kName, "old", old);
      changed = wait_for<T>(kName, view, static_cast<T>(old), timeout);
    });
    return changed;
  }
};

struct Notify {
  static constexpr const char* kName = "notify";
  static std::string name() { return kName; }

  static int64_t call(const Tensor& target, int64_t count) {
    check_waitable(kName, View("target", target));
    if (count == 0) return 0;  // the kernel would wake one
    constexpr int64_t kAll = std::numeric_limits<int>::max();
    return futex::wake(kName, words_of(target),
                       static_cast<int>(count < 0 ? kAll : std::min(count, kAll)));
  }
};

using Kernels = TypeList<Wait, Notify>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) { implement_lock_free(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) { refuse<NegativeView>(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) { refuse<ConjugateView>(m, Kernels{}); }

}  // namespace atomics::cpu
