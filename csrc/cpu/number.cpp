// The `.int` and `.float` overloads: one-element targets and plain numbers, so that no tensor is
// allocated. The meaning of an op is in csrc/ops.
#include <bit>

#include "../check.h"
#include "../dispatch.h"
#include "../register.h"
#include "cells.h"
#include "guarded_memory.h"

namespace atomics::cpu {

namespace {

template <class Number>
std::string overload(const char* op) {
  return std::string(op) + (std::is_integral_v<Number> ? ".int" : ".float");
}

// The dtypes of an op that an overload takes: integers and bool, or floats.
template <class Number, class... Ts>
auto like(TypeList<Ts...>)
    -> Joined<std::conditional_t<std::is_integral_v<Ts> == std::is_integral_v<Number>, TypeList<Ts>,
                                 TypeList<>>...>;
template <class Op, class Number>
using TypesLike = decltype(like<Number>(TypesOf<Op>{}));

// A cell and the dtype that it belongs to.
template <class Op, class T>
struct CellOf {
  using C = typename Op::template Cell<T>;
  using Operand = Widened<C>;

  Ref<C, Single> cell;

  // The caller's number as the cell holds it.
  template <class Number>
  static C from(const char* op, const char* name, Number value) {
    if constexpr (std::is_integral_v<T>) check_fits<T>(op, name, value);
    if constexpr (std::is_integral_v<C> && !std::is_integral_v<T>) {
      return std::bit_cast<C>(static_cast<T>(value));
    } else {
      return static_cast<C>(static_cast<T>(value));
    }
  }

  template <class Number>
  static Number to(C held) {
    if constexpr (std::is_integral_v<C> && !std::is_integral_v<T>) {
      return static_cast<Number>(std::bit_cast<T>(held));
    } else {
      return static_cast<Number>(static_cast<T>(held));
    }
  }
};

// Calls f(cell) for the target's type, after all checks on the target.
template <class Op, class Number, class F>
void with_cell(const char* op, const Tensor& target, F&& f) {
  const View view("target", target);
  constexpr TypesLike<Op, Number> listed;
  check_dtype(op, view, listed);
  check_one_element(op, view);
  check_memory(op, view);
  if constexpr (!std::is_same_v<Op, Load>) check_written(op, view);
  dispatch(listed, view.dtype, [&]<class T>() {
    using Cell = CellOf<Op, T>;
    // The dtype has just been dispatched, the alignment checked.
    auto* address = static_cast<typename Cell::C*>(target.mutable_data_ptr());
    f(Cell{Ref<typename Cell::C, Single>(address)});
  });
}

template <class Number>
struct LoadNumber {
  static std::string name() { return overload<Number>(Load::kName); }

  static Number call(const Tensor& target) {
    Number result{};
    with_cell<Load, Number>(Load::kName, target, [&]<class Cell>(const Cell& at) {
      result = Cell::template to<Number>(Load::apply(at.cell));
    });
    return result;
  }
};

template <class Number>
struct StoreNumber {
  static std::string name() { return overload<Number>(Store::kName); }

  static void call(const Tensor& target, Number other) {
    with_cell<Store, Number>(Store::kName, target, [&]<class Cell>(const Cell& at) {
      Store::apply(at.cell, Cell::from(Store::kName, "other", other));
    });
  }
};

template <class Op, class Number>
struct FetchNumber {
  static std::string name() { return overload<Number>(Op::kFetch); }

  static Number call(const Tensor& target, Number other) {
    Number old{};
    with_cell<Op, Number>(Op::kFetch, target, [&]<class Cell>(const Cell& at) {
      const auto operand = Cell::from(Op::kFetch, "other", other);
      old = Cell::template to<Number>(
          Op::apply(at.cell, static_cast<typename Cell::Operand>(operand)));
    });
    return old;
  }
};

template <class Op, class Number>
struct UpdateNumber {
  static std::string name() { return overload<Number>(Op::kUpdate); }

  static void call(const Tensor& target, Number other) {
    with_cell<Op, Number>(Op::kUpdate, target, [&]<class Cell>(const Cell& at) {
      const auto operand = Cell::from(Op::kUpdate, "other", other);
      Op::apply(at.cell, static_cast<typename Cell::Operand>(operand));
    });
  }
};

template <class Number>
struct CompareExchangeNumber {
  static std::string name() { return overload<Number>(CompareExchange::kName); }

  static std::tuple<Number, bool> call(const Tensor& target, Number expected, Number desired) {
    constexpr auto kName = CompareExchange::kName;
    Number old{};
    bool success = false;
    with_cell<CompareExchange, Number>(kName, target, [&]<class Cell>(const Cell& at) {
      auto before = Cell::from(kName, "expected", expected);
      success = CompareExchange::apply(at.cell, before, Cell::from(kName, "desired", desired));
      old = Cell::template to<Number>(before);
    });
    return {old, success};
  }
};

template <class Number>
struct AddBelowNumber {
  static std::string name() { return overload<Number>(AddBelow::kName); }

  static std::tuple<Number, bool> call(const Tensor& target, Number other, Number limit) {
    constexpr auto kName = AddBelow::kName;
    Number old{};
    bool success = false;
    with_cell<AddBelow, Number>(kName, target, [&]<class Cell>(const Cell& at) {
      typename Cell::C before;
      const auto operand = Cell::from(kName, "other", other);
      success = AddBelow::apply(at.cell, operand, Cell::from(kName, "limit", limit), before);
      old = Cell::template to<Number>(before);
    });
    return {old, success};
  }
};

struct AddCheckedNumber {
  static std::string name() { return overload<int64_t>(AddChecked::kName); }

  static std::tuple<int64_t, bool> call(const Tensor& target, int64_t other) {
    constexpr auto kName = AddChecked::kName;
    int64_t old{};
    bool overflowed = false;
    with_cell<AddChecked, int64_t>(kName, target, [&]<class Cell>(const Cell& at) {
      typename Cell::C before;
      overflowed = AddChecked::apply(at.cell, Cell::from(kName, "other", other), before);
      old = Cell::template to<int64_t>(before);
    });
    return {old, overflowed};
  }
};

// The kernels of the ops that take such numbers at all.
template <template <class, class> class Kernel, class Number, class... Ops>
auto those_of(TypeList<Ops...>)
    -> Joined<std::conditional_t<std::is_same_v<TypesLike<Ops, Number>, TypeList<>>, TypeList<>,
                                 TypeList<Kernel<Ops, Number>>>...>;

template <class Number>
using Common = Joined<TypeList<LoadNumber<Number>, StoreNumber<Number>,
                               CompareExchangeNumber<Number>, AddBelowNumber<Number>>,
                      decltype(those_of<FetchNumber, Number>(FetchOps{})),
                      decltype(those_of<UpdateNumber, Number>(ScaledUpdateOps{})),
                      decltype(those_of<UpdateNumber, Number>(UpdateOps{}))>;

using IntKernels = Joined<Common<int64_t>, TypeList<AddCheckedNumber>>;
using FloatKernels = Common<double>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) {
  implement_lock_free(m, IntKernels{});
  implement_lock_free(m, FloatKernels{});
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
