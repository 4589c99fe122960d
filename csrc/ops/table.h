// Which op struct exists in which form. A new op is a struct in this folder, a row here and a line
// in schema.cpp; every backend registers what these lists name.
#pragma once

#include "access.h"
#include "arithmetic.h"
#include "bitwise.h"
#include "bounded.h"
#include "order.h"

namespace atomics {

template <class... Ts>
struct TypeList {};

template <class... Lists>
struct Join {
  using type = TypeList<>;
};
template <class... Ts>
struct Join<TypeList<Ts...>> {
  using type = TypeList<Ts...>;
};
template <class... As, class... Bs, class... Rest>
struct Join<TypeList<As...>, TypeList<Bs...>, Rest...> : Join<TypeList<As..., Bs...>, Rest...> {};

template <class... Lists>
using Joined = typename Join<Lists...>::type;

// Kernel<Machine, Op> for each op of a list.
template <template <class, class> class Kernel, class Machine, class... Ops>
auto of_each(TypeList<Ops...>) -> TypeList<Kernel<Machine, Ops>...>;
template <template <class, class> class Kernel, class Machine, class Ops>
using OfEach = decltype(of_each<Kernel, Machine>(Ops{}));

// old = op(target, other)
using FetchOps = TypeList<Exchange, Add, Sub, Min, Max, And, Or, Xor>;
// The same, nothing fetched; the first ones of alpha * other.
using ScaledUpdateOps = TypeList<Add, Sub>;
using UpdateOps = TypeList<Min, Max, And, Or, Xor>;
// op(target[index], source); the first ones of alpha * source.
using ScaledIndexUpdateOps = TypeList<Add>;
using IndexUpdateOps = TypeList<Min, Max, And, Or>;
// old = op(target[index], source)
using IndexFetchOps = TypeList<Add, Exchange>;

}  // namespace atomics
