// The ops on indexed rows of dim 0: what they check and what they return. The meaning of an op is
// in csrc/ops; what becomes of rows that are named several times, a backend says, its `Machine`.
#pragma once

#include <array>
#include <string>
#include <tuple>

#include "check.h"
#include "dispatch.h"
#include "operand.h"
#include "register.h"
#include "scale.h"

namespace atomics {

// Where `source` is, if that is not where the target is.
template <class Machine, class Op>
struct ScaledIndexUpdateKernel {
  static constexpr auto kName = Op::kIndexUpdate;
  static std::string name() { return kName; }

  static void call(const Tensor& target, int64_t dim, const Tensor& index, const Tensor& source,
                   double alpha) {
    const View cells("target", target);
    const View rows("index", index);
    const View values("source", source);
    check_dtype(kName, cells, TypesOf<Op>{});
    check_alpha(kName, cells.dtype, alpha);
    Machine::check_added_rows(kName, cells, dim, rows, values);
    dispatch(TypesOf<Op>{}, cells.dtype, [&]<class T>() {
      Machine::template add_rows<Op, typename Op::template Cell<T>>(cells, rows, values, alpha);
    });
  }
};

template <class Machine, class Op>
struct IndexUpdateKernel {
  static constexpr auto kName = Op::kIndexUpdate;
  static std::string name() { return kName; }

  static void call(const Tensor& target, int64_t dim, const Tensor& index, const Tensor& source) {
    const View cells("target", target);
    const View rows("index", index);
    const View values("source", source);
    check_dtype(kName, cells, TypesOf<Op>{});
    Machine::check_rows(kName, cells, dim, rows, {values});
    dispatch(TypesOf<Op>{}, cells.dtype, [&]<class T>() {
      using C = typename Op::template Cell<T>;
      Machine::template update_rows<Op, C>(cells, rows, values, Unscaled{});
    });
  }
};

template <class Machine, class Op>
struct IndexFetchKernel {
  static constexpr auto kName = Op::kIndexFetch;
  static std::string name() { return kName; }

  static Tensor call(const Tensor& target, int64_t dim, const Tensor& index, const Tensor& source) {
    const View cells("target", target);
    const View rows("index", index);
    const View values("source", source);
    check_dtype(kName, cells, TypesOf<Op>{});
    Machine::check_rows(kName, cells, dim, rows, {values});
    Tensor old = empty_like(values, Machine::device(target));
    dispatch(TypesOf<Op>{}, cells.dtype, [&]<class T>() {
      using C = typename Op::template Cell<T>;
      Machine::template fetch_rows<Op, C>(cells, rows, values, old);
    });
    return old;
  }
};

template <class Machine>
struct IndexCompareExchangeKernel {
  static constexpr auto kName = CompareExchange::kIndex;
  static std::string name() { return kName; }

  static std::tuple<Tensor, Tensor> call(const Tensor& target, int64_t dim, const Tensor& index,
                                         const Tensor& expected, const Tensor& desired) {
    const View cells("target", target);
    const View rows("index", index);
    const View guesses("expected", expected);
    const View values("desired", desired);
    check_dtype(kName, cells, TypesOf<CompareExchange>{});
    Machine::check_rows(kName, cells, dim, rows, {guesses, values});
    const Device device = Machine::device(target);
    Tensor old = empty_like(values, device);
    Tensor success = empty(values.dim, values.sizes, ScalarType::Bool, device);
    dispatch(TypesOf<CompareExchange>{}, cells.dtype, [&]<class T>() {
      Machine::template compare_exchange_rows<Bits<T>>(
          cells, rows, values,
          std::array{readable(guesses), readable(values), fresh(old, values),
                     fresh(success, values, sizeof(bool))});
    });
    return {std::move(old), std::move(success)};
  }
};

template <class Machine>
using IndexUpdateKernels = Joined<OfEach<ScaledIndexUpdateKernel, Machine, ScaledIndexUpdateOps>,
                                  OfEach<IndexUpdateKernel, Machine, IndexUpdateOps>>;
template <class Machine>
using IndexFetchKernels = Joined<OfEach<IndexFetchKernel, Machine, IndexFetchOps>,
                                 TypeList<IndexCompareExchangeKernel<Machine>>>;

}  // namespace atomics
