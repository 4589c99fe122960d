// The `.int` and `.float` overloads: one-element targets and plain numbers, so that no tensor is
// allocated. The meaning of an op is in csrc/ops.
//
// `Machine` is that of a backend: Machine::visit<C>(op, target, numbers, visit) has `visit` done to
// the target's cell, see visit.h, with `numbers` for its operands and results.
#pragma once

#include <bit>
#include <cstddef>
#include <string>
#include <tuple>

#include "check.h"
#include "dispatch.h"
#include "register.h"
#include "visit.h"

namespace atomics {

// The operands of a visit in their order, then what it writes.
template <class C>
struct Numbers {
  size_t operands;
  C values[3];
  bool flag;

  C old() const { return values[operands]; }
  ATOMICS_HD void find(char* cell, char* (&at)[5]) {
    at[0] = cell;
    for (size_t k = 0; k < 4; ++k) {
      const bool is_flag = k > operands;
      at[k + 1] = reinterpret_cast<char*>(is_flag ? static_cast<void*>(&flag) : &values[k]);
    }
  }
};

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

// The caller's number as a cell of `T` holds it, of which an op sees a C.
template <class T, class C, class Number>
C to_cell(const char* op, const char* name, Number value) {
  if constexpr (std::is_integral_v<T>) check_fits<T>(op, name, value);
  if constexpr (std::is_integral_v<C> && !std::is_integral_v<T>) {
    return std::bit_cast<C>(static_cast<T>(value));
  } else {
    return static_cast<C>(static_cast<T>(value));
  }
}

template <class Number, class T, class C>
Number from_cell(C held) {
  if constexpr (std::is_integral_v<C> && !std::is_integral_v<T>) {
    return static_cast<Number>(std::bit_cast<T>(held));
  } else {
    return static_cast<Number>(static_cast<T>(held));
  }
}

// What an op finds and whether it succeeded, where it says so.
template <class Number>
struct Found {
  Number old;
  bool flag;
};

// Has `visit` done to the target's cell, after all checks. `operands`: names and numbers.
template <class Machine, class Op, class Number, class Visit, size_t N>
Found<Number> visit_number(const char* op, const Tensor& target,
                           const std::array<std::pair<const char*, Number>, N>& operands,
                           Visit visit) {
  const View view("target", target);
  constexpr TypesLike<Op, Number> listed;
  check_dtype(op, view, listed);
  check_one_element(op, view);
  check_memory(op, view);
  if constexpr (!std::is_same_v<Op, Load>) check_written(op, view);
  Found<Number> found{};
  dispatch(listed, view.dtype, [&]<class T>() {
    using C = typename Op::template Cell<T>;
    Numbers<C> numbers{.operands = N, .values = {}, .flag = false};
    C* next = numbers.values;
    for (const auto& [name, value] : operands) *next++ = to_cell<T, C>(op, name, value);
    Machine::template visit<C>(op, target, numbers, visit);
    found = {from_cell<Number, T>(numbers.old()), numbers.flag};
  });
  return found;
}

template <class Machine, class Number>
struct LoadNumber {
  static std::string name() { return overload<Number>(Load::kName); }

  static Number call(const Tensor& target) {
    return visit_number<Machine, Load, Number, VisitLoad, 0>(Load::kName, target, {}, {}).old;
  }
};

template <class Machine, class Number>
struct StoreNumber {
  static std::string name() { return overload<Number>(Store::kName); }

  static void call(const Tensor& target, Number other) {
    visit_number<Machine, Store, Number, VisitStore, 1>(Store::kName, target, {{{"other", other}}},
                                                        {});
  }
};

template <class Machine, class Op, class Number>
struct FetchNumber {
  static std::string name() { return overload<Number>(Op::kFetch); }

  static Number call(const Tensor& target, Number other) {
    return visit_number<Machine, Op, Number, VisitFetch<Op>, 1>(Op::kFetch, target,
                                                                {{{"other", other}}}, {})
        .old;
  }
};

template <class Machine, class Op, class Number>
struct UpdateNumber {
  static std::string name() { return overload<Number>(Op::kUpdate); }

  static void call(const Tensor& target, Number other) {
    visit_number<Machine, Op, Number, VisitUpdate<Op, Unscaled>, 1>(Op::kUpdate, target,
                                                                    {{{"other", other}}}, {});
  }
};

template <class Machine, class Number>
struct CompareExchangeNumber {
  static std::string name() { return overload<Number>(CompareExchange::kName); }

  static std::tuple<Number, bool> call(const Tensor& target, Number expected, Number desired) {
    const auto found = visit_number<Machine, CompareExchange, Number, VisitCompareExchange, 2>(
        CompareExchange::kName, target, {{{"expected", expected}, {"desired", desired}}}, {});
    return {found.old, found.flag};
  }
};

template <class Machine, class Number>
struct AddBelowNumber {
  static std::string name() { return overload<Number>(AddBelow::kName); }

  static std::tuple<Number, bool> call(const Tensor& target, Number other, Number limit) {
    const auto found = visit_number<Machine, AddBelow, Number, VisitAddBelow, 2>(
        AddBelow::kName, target, {{{"other", other}, {"limit", limit}}}, {});
    return {found.old, found.flag};
  }
};

template <class Machine>
struct AddCheckedNumber {
  static std::string name() { return overload<int64_t>(AddChecked::kName); }

  static std::tuple<int64_t, bool> call(const Tensor& target, int64_t other) {
    const auto found = visit_number<Machine, AddChecked, int64_t, VisitAddChecked, 1>(
        AddChecked::kName, target, {{{"other", other}}}, {});
    return {found.old, found.flag};
  }
};

// The kernels of the ops that take such numbers at all.
template <class Machine, template <class, class, class> class Kernel, class Number, class... Ops>
auto those_of(TypeList<Ops...>)
    -> Joined<std::conditional_t<std::is_same_v<TypesLike<Ops, Number>, TypeList<>>, TypeList<>,
                                 TypeList<Kernel<Machine, Ops, Number>>>...>;

template <class Machine, class Number>
using NumberKernelsOf =
    Joined<TypeList<LoadNumber<Machine, Number>, StoreNumber<Machine, Number>,
                    CompareExchangeNumber<Machine, Number>, AddBelowNumber<Machine, Number>>,
           decltype(those_of<Machine, FetchNumber, Number>(FetchOps{})),
           decltype(those_of<Machine, UpdateNumber, Number>(ScaledUpdateOps{})),
           decltype(those_of<Machine, UpdateNumber, Number>(UpdateOps{}))>;

template <class Machine>
using NumberKernels = Joined<NumberKernelsOf<Machine, int64_t>, TypeList<AddCheckedNumber<Machine>>,
                             NumberKernelsOf<Machine, double>>;

}  // namespace atomics
