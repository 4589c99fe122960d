// Lock-free ops over every element of a target. The meaning of an op is in csrc/ops.
#include "../check.h"
#include "../dispatch.h"
#include "../register.h"
#include "cells.h"
#include "update.h"

namespace atomics::cpu {

namespace {

struct LoadKernel {
  static std::string name() { return Load::kName; }

  static Tensor call(Tensor target) {
    const View cells("target", target);
    check_dtype(Load::kName, cells, Arithmetic{});
    check_memory(Load::kName, cells);
    Tensor result = empty_like(cells);
    const View out("result", result);
    dispatch(Arithmetic{}, cells.dtype, [&]<class T>() {
      for_each_cell<T, 2>({readable(cells), writable(out)}, cells.numel,
                          [](auto cell, auto at) { as<T>(at[1]) = Load::apply(cell); });
    });
    return result;
  }
};

struct StoreKernel {
  static std::string name() { return Store::kName; }

  static void call(Tensor target, Tensor other) {
    const View cells("target", target);
    const View values("other", other);
    check_dtype(Store::kName, cells, Arithmetic{});
    check_elementwise(Store::kName, cells, {values});
    dispatch(Arithmetic{}, cells.dtype, [&]<class T>() {
      for_each_cell<T, 2>({writable(cells), readable(values)}, cells.numel,
                          [](auto cell, auto at) { Store::apply(cell, as<T>(at[1])); });
    });
  }
};

template <class Op>
struct FetchKernel {
  static std::string name() { return Op::kFetch; }

  static Tensor call(Tensor target, Tensor other) {
    const View cells("target", target);
    const View values("other", other);
    check_dtype(Op::kFetch, cells, Arithmetic{});
    check_elementwise(Op::kFetch, cells, {values});
    Tensor old = empty_like(cells);
    const View out("old", old);
    dispatch(Arithmetic{}, cells.dtype, [&]<class T>() {
      update_cells<Op, T, 3>({writable(cells), readable(values), writable(out)}, cells.numel,
                             Unscaled{});
    });
    return old;
  }
};

template <class Op>
struct UpdateKernel {
  static std::string name() { return Op::kUpdate; }

  static void call(Tensor target, Tensor other, double alpha) {
    const View cells("target", target);
    const View values("other", other);
    check_dtype(Op::kUpdate, cells, Arithmetic{});
    check_alpha(Op::kUpdate, cells, alpha);
    check_elementwise(Op::kUpdate, cells, {values});
    dispatch(Arithmetic{}, cells.dtype, [&]<class T>() {
      update_cells<Op, T, 2>({writable(cells), readable(values)}, cells.numel,
                             ScaledBy<T>{static_cast<T>(alpha)});
    });
  }
};

struct CompareExchangeKernel {
  static std::string name() { return CompareExchange::kName; }

  static std::tuple<Tensor, Tensor> call(Tensor target, Tensor expected, Tensor desired) {
    const View cells("target", target);
    const View guesses("expected", expected);
    const View values("desired", desired);
    check_dtype(CompareExchange::kName, cells, Arithmetic{});
    check_elementwise(CompareExchange::kName, cells, {guesses, values});
    Tensor old = empty_like(cells);
    Tensor success = empty(cells.dim, cells.sizes, ScalarType::Bool, DeviceType::CPU);
    const View out("old", old);
    const View flags("success", success);
    dispatch(Arithmetic{}, cells.dtype, [&]<class T>() {
      for_each_cell<T, 5>(
          {writable(cells), readable(guesses), readable(values), writable(out), writable(flags)},
          cells.numel, [](auto cell, auto at) {
            T before = as<T>(at[1]);
            as<bool>(at[4]) = CompareExchange::apply(cell, before, as<T>(at[2]));
            as<T>(at[3]) = before;
          });
    });
    return {old, success};
  }
};

template <class... Fetch, class... Update>
auto kernels(TypeList<Fetch...>, TypeList<Update...>)
    -> TypeList<LoadKernel, StoreKernel, CompareExchangeKernel, FetchKernel<Fetch>...,
                UpdateKernel<Update>...>;
using Kernels = decltype(kernels(FetchOps{}, UpdateOps{}));

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) { implement(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) { refuse<NegativeView>(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) { refuse<ConjugateView>(m, Kernels{}); }

}  // namespace atomics::cpu
