// The `.int` and `.float` overloads: one-element targets and plain numbers, so that no tensor is
// allocated. The meaning of an op is in csrc/ops.
#include "../check.h"
#include "../dispatch.h"
#include "../register.h"
#include "cells.h"

namespace atomics::cpu {

namespace {

template <class Number>
std::string overload(const char* op) {
  return std::string(op) + (std::is_integral_v<Number> ? ".int" : ".float");
}

// The cell of a one-element target, after all checks on the target.
template <class Number>
View one_cell(const char* op, const Tensor& target) {
  const View cell("target", target);
  check_dtype(op, cell, TypesOf<Number>{});
  check_one_element(op, cell);
  check_memory(op, cell);
  return cell;
}

template <class T, class Number>
T convert(const char* op, const char* name, Number value) {
  if constexpr (std::is_integral_v<T>) check_fits<T>(op, name, value);
  return static_cast<T>(value);
}

// Calls f(cell, convert) for the target's type.
template <class Number, class F>
void with_cell(const char* op, const Tensor& target, F&& f) {
  const View view = one_cell<Number>(op, target);
  dispatch(TypesOf<Number>{}, view.dtype, [&]<class T>() {
    // The dtype has just been dispatched, the alignment checked.
    auto* address = static_cast<T*>(target.mutable_data_ptr());
    f(Ref<T, Single>(address));
  });
}

template <class Number>
struct LoadNumber {
  static std::string name() { return overload<Number>(Load::kName); }

  static Number call(Tensor target) {
    Number result{};
    with_cell<Number>(Load::kName, target, [&](auto cell) { result = Load::apply(cell); });
    return result;
  }
};

template <class Number>
struct StoreNumber {
  static std::string name() { return overload<Number>(Store::kName); }

  static void call(Tensor target, Number other) {
    with_cell<Number>(Store::kName, target, [&]<class Cell>(Cell cell) {
      Store::apply(cell, convert<typename Cell::value_type>(Store::kName, "other", other));
    });
  }
};

template <class Op, class Number>
struct FetchNumber {
  static std::string name() { return overload<Number>(Op::kFetch); }

  static Number call(Tensor target, Number other) {
    Number old{};
    with_cell<Number>(Op::kFetch, target, [&]<class Cell>(Cell cell) {
      old = Op::apply(cell, convert<typename Cell::value_type>(Op::kFetch, "other", other));
    });
    return old;
  }
};

template <class Op, class Number>
struct UpdateNumber {
  static std::string name() { return overload<Number>(Op::kUpdate); }

  static void call(Tensor target, Number other) {
    with_cell<Number>(Op::kUpdate, target, [&]<class Cell>(Cell cell) {
      Op::apply(cell, convert<typename Cell::value_type>(Op::kUpdate, "other", other));
    });
  }
};

template <class Number>
struct CompareExchangeNumber {
  static std::string name() { return overload<Number>(CompareExchange::kName); }

  static std::tuple<Number, bool> call(Tensor target, Number expected, Number desired) {
    constexpr auto kName = CompareExchange::kName;
    Number old{};
    bool success = false;
    with_cell<Number>(kName, target, [&]<class Cell>(Cell cell) {
      using T = typename Cell::value_type;
      T before = convert<T>(kName, "expected", expected);
      success = CompareExchange::apply(cell, before, convert<T>(kName, "desired", desired));
      old = before;
    });
    return {old, success};
  }
};

template <class Number, class... Fetch, class... Update>
auto kernels(TypeList<Fetch...>, TypeList<Update...>)
    -> TypeList<LoadNumber<Number>, StoreNumber<Number>, CompareExchangeNumber<Number>,
                FetchNumber<Fetch, Number>..., UpdateNumber<Update, Number>...>;
using IntKernels = decltype(kernels<int64_t>(FetchOps{}, UpdateOps{}));
using FloatKernels = decltype(kernels<double>(FetchOps{}, UpdateOps{}));

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) {
  implement(m, IntKernels{});
  implement(m, FloatKernels{});
}
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) {
  refuse<NegativeView>(m, IntKernels{});
  refuse<NegativeView>(m, FloatKernels{});
}
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) {
  refuse<ConjugateView>(m, IntKernels{});
  refuse<ConjugateView>(m, FloatKernels{});
}

}  // namespace atomics::cpu
