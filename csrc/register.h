// Registers lists of kernels. A kernel is a struct with name(), the op's name with its overload,
// and a static call(), whose arguments and results are those of the op's line in schema.cpp.
#pragma once

#include <torch/csrc/stable/library.h>

#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "check.h"
#include "ops/table.h"

namespace atomics {

// From torch's stack to a call and back. TORCH_BOX does the same for torch::stable::Tensor.
template <class Kernel, class Call = decltype(Kernel::call)>
class Boxed;

template <class Kernel, class Result, class... Args>
class Boxed<Kernel, Result(Args...)> {
 public:
  static void call(StableIValue* stack, uint64_t, uint64_t) {
    call(stack, std::index_sequence_for<Args...>{});
  }

 private:
  template <size_t... I>
  static void call(StableIValue* stack, std::index_sequence<I...>) {
    // The handles on the stack are the kernel's to delete, whether it returns or throws.
    std::tuple<std::remove_cvref_t<Args>...> args{take<std::remove_cvref_t<Args>>(stack[I])...};
    (check_given(I, std::get<I>(args)), ...);
    if constexpr (std::is_void_v<Result>) {
      std::apply(Kernel::call, args);
    } else {
      give(stack, std::apply(Kernel::call, args));
    }
  }

  template <class T>
  static T take(StableIValue value) {
    if constexpr (std::is_same_v<T, Tensor>) {
      return Tensor(torch::stable::detail::to<AtenTensorHandle>(value));
    } else if constexpr (std::is_same_v<T, std::vector<Tensor>>) {
      return take_list(torch::stable::detail::to<StableListHandle>(value));
    } else {
      return torch::stable::detail::to<T>(value);
    }
  }

  static std::vector<Tensor> take_list(StableListHandle list) {
    size_t size = 0;
    TORCH_ERROR_CODE_CHECK(torch_list_size(list, &size));
    std::vector<Tensor> tensors;
    tensors.reserve(size);
    for (size_t k = 0; k < size; ++k) {
      StableIValue item = 0;
      TORCH_ERROR_CODE_CHECK(torch_list_get_item(list, k, &item));
      tensors.push_back(take<Tensor>(item));
    }
    TORCH_ERROR_CODE_CHECK(torch_delete_list(list));
    return tensors;
  }

  // torch passes None where a schema says Tensor.
  static void check_given(size_t position, const Tensor& tensor) {
    if (tensor.is_given()) return;
    const std::string name = Kernel::name();
    fail(name.substr(0, name.find('.')).c_str(), "argument " + std::to_string(position + 1),
         "be a tensor", "None");
  }
  static void check_given(size_t position, const std::vector<Tensor>& tensors) {
    for (const Tensor& each : tensors) check_given(position, each);
  }
  template <class T>
  static void check_given(size_t, const T&) {}

  static void give(StableIValue* stack, Tensor result) {
    *stack = torch::stable::detail::from(result.release());
  }
  template <class T>
  static void give(StableIValue* stack, T result) {
    *stack = torch::stable::detail::from(result);
  }
  template <class First, class Second>
  static void give(StableIValue* stack, std::tuple<First, Second> results) {
    give(stack, std::get<0>(std::move(results)));
    give(stack + 1, std::get<1>(std::move(results)));
  }
};

template <class... Kernels>
void implement(torch::stable::detail::StableLibrary& m, TypeList<Kernels...>) {
  (m.impl(Kernels::name().c_str(), Boxed<Kernels>::call), ...);
}

// torch would resolve these views into a temporary, update that, and copy it back: not atomic. The
// kernels of a backend cannot see the bit, so the dispatch keys that carry it get refusing kernels.
struct NegativeView {
  static constexpr const char* kRule = "not be negative views (resolve_neg() makes a plain tensor)";
  static constexpr const char* kActual = "one with its negative bit set";
};

struct ConjugateView {
  static constexpr const char* kRule =
      "not be conjugate views (resolve_conj() makes a plain tensor)";
  static constexpr const char* kActual = "one with its conjugate bit set";
};

template <class Kernel, class Lazy, class Call = decltype(Kernel::call)>
struct Refuse;

template <class Kernel, class Lazy, class Result, class... Args>
struct Refuse<Kernel, Lazy, Result(Args...)> {
  static std::string name() { return Kernel::name(); }

  static Result call(Args...) {
    fail(name().substr(0, name().find('.')).c_str(), "arguments", Lazy::kRule, Lazy::kActual);
  }
};

template <class Lazy, class... Kernels>
void refuse(torch::stable::detail::StableLibrary& m, TypeList<Kernels...>) {
  implement(m, TypeList<Refuse<Kernels, Lazy>...>{});
}

}  // namespace atomics
