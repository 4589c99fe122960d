// The kernels that work on what a handle names: those that work on a tensor, told which one.
#pragma once

#include <optional>
#include <stdexcept>

#include "../check.h"
#include "../overlap.h"
#include "../register.h"
#include "guarded_memory.h"
#include "handles.h"

namespace atomics::cpu {

inline std::string handle_name(const std::string& op) { return "handle_" + op; }

// A handle is of a guarded tensor or of another one: no op takes both.
inline void check_is_guarded(const char* op, const Registered& registered, bool guarded) {
  if ((registered.mutex.get() != nullptr) == guarded) return;
  constexpr const char* kKinds[] = {"of a tensor without a mutex", "of a guarded tensor"};
  fail(op, "handle", std::string("be ") + kKinds[guarded], std::string("one ") + kKinds[!guarded]);
}

// The errors of a kernel begin with the name of the op on a handle.
template <class Kernel, class Call>
auto renamed(Call&& call) {
  try {
    return call();
  } catch (const std::runtime_error& error) {
    const std::string text = error.what();
    if (text.rfind(Kernel::name() + ":", 0) == 0) throw std::runtime_error(handle_name(text));
    throw;
  }
}

// An operand, copied if it shares memory with what is changed: a compiler that does not see the
// change leaves out the copy that the caller made.
class Apart {
 public:
  Apart(const char* op, const Tensor& other, const char* name) : op_(op), view_(name, other) {}

  const View& view() const { return view_; }

  void from(const View& target) {
    if (copy_.has_value() || !overlaps(target, view_)) return;
    check_memory(op_, view_);
    copy_.emplace(view_.tensor.clone());
  }

  const Tensor& operator*() const { return copy_ ? *copy_ : view_.tensor; }

 private:
  const char* op_;
  View view_;
  std::optional<Tensor> copy_;
};

// Of a lock-free kernel whose first arguments are its target and an operand.
template <class Kernel, class Call = decltype(Kernel::call)>
struct ByHandle;

template <class Kernel, class Result, class... Others>
struct ByHandle<Kernel, Result(const Tensor&, const Tensor&, Others...)> {
  static std::string name() { return handle_name(Kernel::name()); }

  static Result call(const Tensor& handle, const Tensor& operand, Others... others) {
    static const std::string op = name();
    const HandleUse use(op.c_str(), handle);
    check_is_guarded(op.c_str(), *use, false);
    Apart other(op.c_str(), operand, "other");
    other.from(View("target", use->target));
    if constexpr (std::is_void_v<Result>) {
      renamed<Kernel>([&] { LockFree<Kernel>::call(use->target, *other, others...); });
      use.wake();
    } else {
      // What a trace is told: the result has the shape of `other`.
      check_same_shape(op.c_str(), View("target", use->target), View("other", *other));
      Result result =
          renamed<Kernel>([&] { return LockFree<Kernel>::call(use->target, *other, others...); });
      use.wake();
      return result;
    }
  }
};

}  // namespace atomics::cpu
