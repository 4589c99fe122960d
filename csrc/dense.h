// The ops on every element of a target: what they check and what they return. The meaning of an op
// is in csrc/ops.
//
// `Machine` is that of a backend: Machine::visit<C>(op, on, operands, numel, visit) has `visit`
// done to each cell of operands[0], see visit.h, where the tensor `on` is. Its load, store, fetch
// and update are that of a few visits, or what is faster than visiting.
#pragma once

#include <array>
#include <string>
#include <tuple>

#include "check.h"
#include "dispatch.h"
#include "register.h"
#include "rounding.h"
#include "visit.h"

namespace atomics {

template <class Machine>
struct LoadKernel {
  static std::string name() { return Load::kName; }

  static Tensor call(const Tensor& target) {
    const View cells("target", target);
    check_dtype(Load::kName, cells, TypesOf<Load>{});
    check_memory(Load::kName, cells);
    Tensor result = empty_like(cells, Machine::device(target));
    dispatch(TypesOf<Load>{}, cells.dtype, [&]<class T>() {
      const std::array operands{readable(cells), fresh(result, cells)};
      Machine::template load<Bits<T>>(target, operands, cells.numel);
    });
    return result;
  }
};

template <class Machine>
struct StoreKernel {
  static std::string name() { return Store::kName; }

  static void call(const Tensor& target, const Tensor& other) {
    const View cells("target", target);
    const View values("other", other);
    check_dtype(Store::kName, cells, TypesOf<Store>{});
    Machine::check_operands(Store::kName, cells, {values});
    dispatch(TypesOf<Store>{}, cells.dtype, [&]<class T>() {
      const std::array operands{writable(cells), readable(values)};
      Machine::template store<Bits<T>>(target, operands, cells.numel);
    });
  }
};

template <class Machine>
struct CompareExchangeKernel {
  static constexpr auto kName = CompareExchange::kName;
  static std::string name() { return kName; }

  static std::tuple<Tensor, Tensor> call(const Tensor& target, const Tensor& expected,
                                         const Tensor& desired) {
    const View cells("target", target);
    const View guesses("expected", expected);
    const View values("desired", desired);
    check_dtype(kName, cells, TypesOf<CompareExchange>{});
    Machine::check_operands(kName, cells, {guesses, values});
    const Device device = Machine::device(target);
    Tensor old = empty_like(cells, device);
    Tensor success = empty(cells.dim, cells.sizes, ScalarType::Bool, device);
    dispatch(TypesOf<CompareExchange>{}, cells.dtype, [&]<class T>() {
      const std::array operands{writable(cells), readable(guesses), readable(values),
                                fresh(old, cells), fresh(success, cells, sizeof(bool))};
      Machine::template visit<Bits<T>>(kName, target, operands, cells.numel,
                                       VisitCompareExchange{});
    });
    return {std::move(old), std::move(success)};
  }
};

template <class Machine, class Op>
struct FetchKernel {
  static std::string name() { return Op::kFetch; }

  static Tensor call(const Tensor& target, const Tensor& other) {
    const View cells("target", target);
    const View values("other", other);
    check_dtype(Op::kFetch, cells, TypesOf<Op>{});
    Machine::check_operands(Op::kFetch, cells, {values});
    Tensor old = empty_like(cells, Machine::device(target));
    dispatch(TypesOf<Op>{}, cells.dtype, [&]<class T>() {
      const std::array operands{writable(cells), readable(values), fresh(old, cells)};
      Machine::template fetch<Op, typename Op::template Cell<T>>(target, operands, cells.numel);
    });
    return old;
  }
};

// Both flags are bool tensors: whether it was added, or whether it was not.
template <class Machine>
struct AddBelowKernel {
  static constexpr auto kName = AddBelow::kName;
  static std::string name() { return kName; }

  static std::tuple<Tensor, Tensor> call(const Tensor& target, const Tensor& other,
                                         const Tensor& limit) {
    const View cells("target", target);
    const View values("other", other);
    const View limits("limit", limit);
    check_dtype(kName, cells, TypesOf<AddBelow>{});
    Machine::check_operands(kName, cells, {values, limits});
    const Device device = Machine::device(target);
    Tensor old = empty_like(cells, device);
    Tensor success = empty(cells.dim, cells.sizes, ScalarType::Bool, device);
    dispatch(TypesOf<AddBelow>{}, cells.dtype, [&]<class T>() {
      const std::array operands{writable(cells), readable(values), readable(limits),
                                fresh(old, cells), fresh(success, cells, sizeof(bool))};
      Machine::template visit<T>(kName, target, operands, cells.numel, VisitAddBelow{});
    });
    return {std::move(old), std::move(success)};
  }
};

template <class Machine>
struct AddCheckedKernel {
  static constexpr auto kName = AddChecked::kName;
  static std::string name() { return kName; }

  static std::tuple<Tensor, Tensor> call(const Tensor& target, const Tensor& other) {
    const View cells("target", target);
    const View values("other", other);
    check_dtype(kName, cells, TypesOf<AddChecked>{});
    Machine::check_operands(kName, cells, {values});
    const Device device = Machine::device(target);
    Tensor old = empty_like(cells, device);
    Tensor overflowed = empty(cells.dim, cells.sizes, ScalarType::Bool, device);
    dispatch(TypesOf<AddChecked>{}, cells.dtype, [&]<class T>() {
      const std::array operands{writable(cells), readable(values), fresh(old, cells),
                                fresh(overflowed, cells, sizeof(bool))};
      Machine::template visit<T>(kName, target, operands, cells.numel, VisitAddChecked{});
    });
    return {std::move(old), std::move(overflowed)};
  }
};

template <class Machine, class Op>
struct UpdateKernel {
  static std::string name() { return Op::kUpdate; }

  static void call(const Tensor& target, const Tensor& other) {
    const View cells("target", target);
    const View values("other", other);
    check_dtype(Op::kUpdate, cells, TypesOf<Op>{});
    Machine::check_operands(Op::kUpdate, cells, {values});
    dispatch(TypesOf<Op>{}, cells.dtype, [&]<class T>() {
      const std::array operands{writable(cells), readable(values)};
      Machine::template update<Op, typename Op::template Cell<T>>(target, operands, cells.numel,
                                                                  Unscaled{}, Nearest{});
    });
  }
};

// Where `other` is, if that is not where the target is.
template <class Machine, class Op>
struct ScaledUpdateKernel {
  static std::string name() { return Op::kUpdate; }

  static void call(const Tensor& target, const Tensor& other, double alpha,
                   std::optional<int64_t> seed) {
    const View cells("target", target);
    const View values("other", other);
    check_dtype(Op::kUpdate, cells, TypesOf<Op>{});
    check_alpha(Op::kUpdate, cells.dtype, alpha);
    check_seed(Op::kUpdate, cells.dtype, seed);
    Machine::check_addend(Op::kUpdate, cells, values);
    dispatch(TypesOf<Op>{}, cells.dtype, [&]<class T>() {
      using C = typename Op::template Cell<T>;
      const std::array operands{writable(cells), readable(values)};
      const auto update = [&](auto scale, auto round) {
        Machine::template update<Op, C>(other, operands, cells.numel, scale, round);
      };
      if constexpr (!std::is_same_v<C, Widened<C>>) {
        if (seed) return update(scaled_by<C>(alpha), Stochastic(*seed, operands[0].data));
      }
      if (alpha == 1) {
        update(Unscaled{}, Nearest{});
      } else {
        update(scaled_by<C>(alpha), Nearest{});
      }
    });
  }
};

template <class Machine>
using AccessKernels =
    TypeList<LoadKernel<Machine>, StoreKernel<Machine>, CompareExchangeKernel<Machine>>;
template <class Machine>
using FetchKernels = Joined<OfEach<FetchKernel, Machine, FetchOps>,
                            TypeList<AddBelowKernel<Machine>, AddCheckedKernel<Machine>>>;
template <class Machine>
using UpdateKernels = Joined<OfEach<ScaledUpdateKernel, Machine, ScaledUpdateOps>,
                             OfEach<UpdateKernel, Machine, UpdateOps>>;

}  // namespace atomics
