// Which op struct exists in which form. A new op is a struct in this folder, a row here and a line
// in schema.cpp; every backend registers what these lists name.
#pragma once

#include "access.h"
#include "arithmetic.h"

namespace atomics {

template <class... Ts>
struct TypeList {};

using FetchOps = TypeList<Exchange, Add, Sub>;  // old = op(target, other)
using UpdateOps = TypeList<Add, Sub>;           // op(target, alpha * other), nothing fetched
using IndexUpdateOps = TypeList<Add>;           // op(target[index], alpha * source)

}  // namespace atomics
