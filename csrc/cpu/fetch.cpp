// fetch_*: changes every element of a target and returns what was there. The meaning of an op is in
// csrc/ops.
#include "../check.h"
#include "../dispatch.h"
#include "../register.h"
#include "../visit.h"
#include "by_handle.h"
#include "cells.h"
#include "update.h"

namespace atomics::cpu {

namespace {

template <class Op>
struct FetchKernel {
  static std::string name() { return Op::kFetch; }

  static Tensor call(const Tensor& target, const Tensor& other) {
    const View cells("target", target);
    const View values("other", other);
    check_dtype(Op::kFetch, cells, TypesOf<Op>{});
    check_elementwise(Op::kFetch, cells, {values});
    Tensor old = empty_like(cells);
    dispatch(TypesOf<Op>{}, cells.dtype, [&]<class T>() {
      using C = typename Op::template Cell<T>;
      update_cells<Op, C>(std::array{writable(cells), readable(values), fresh(old, cells)},
                          cells.numel, Unscaled{});
    });
    return old;
  }
};

// Both flags are bool tensors: whether it was added, or whether it was not.
struct AddBelowKernel {
  static std::string name() { return AddBelow::kName; }

  static std::tuple<Tensor, Tensor> call(const Tensor& target, const Tensor& other,
                                         const Tensor& limit) {
    const View cells("target", target);
    const View values("other", other);
    const View limits("limit", limit);
    check_dtype(AddBelow::kName, cells, TypesOf<AddBelow>{});
    check_elementwise(AddBelow::kName, cells, {values, limits});
    Tensor old = empty_like(cells);
    Tensor success = empty(cells.dim, cells.sizes, ScalarType::Bool, DeviceType::CPU);
    dispatch(TypesOf<AddBelow>{}, cells.dtype, [&]<class T>() {
      for_each_cell<T, 5>({writable(cells), readable(values), readable(limits), fresh(old, cells),
                           fresh(success, cells, sizeof(bool))},
                          cells.numel, VisitAddBelow{});
    });
    return {std::move(old), std::move(success)};
  }
};

struct AddCheckedKernel {
  static std::string name() { return AddChecked::kName; }

  static std::tuple<Tensor, Tensor> call(const Tensor& target, const Tensor& other) {
    const View cells("target", target);
    const View values("other", other);
    check_dtype(AddChecked::kName, cells, TypesOf<AddChecked>{});
    check_elementwise(AddChecked::kName, cells, {values});
    Tensor old = empty_like(cells);
    Tensor overflowed = empty(cells.dim, cells.sizes, ScalarType::Bool, DeviceType::CPU);
    dispatch(TypesOf<AddChecked>{}, cells.dtype, [&]<class T>() {
      for_each_cell<T, 4>({writable(cells), readable(values), fresh(old, cells),
                           fresh(overflowed, cells, sizeof(bool))},
                          cells.numel, VisitAddChecked{});
    });
    return {std::move(old), std::move(overflowed)};
  }
};

template <class... Ops>
auto kernels(TypeList<Ops...>) -> TypeList<FetchKernel<Ops>..., AddBelowKernel, AddCheckedKernel>;
using Kernels = decltype(kernels(FetchOps{}));
using All = Joined<AllLockFree<Kernels>, TypeList<ByHandle<FetchKernel<Add>>>>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) { implement(m, All{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) { refuse<NegativeView>(m, All{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) { refuse<ConjugateView>(m, All{}); }

}  // namespace atomics::cpu
