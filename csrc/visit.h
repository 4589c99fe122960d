// What a call does to one cell and to the elements that its other operands have there. A functor
// and no lambda, so that a GPU's kernel takes it, too. `at[0]` is the cell's own address.
#pragma once

#include "operand.h"
#include "ops/table.h"
#include "scale.h"

namespace atomics {

// (target, result)
struct VisitLoad {
  template <class Cell, class At>
  ATOMICS_HD void operator()(const Cell& cell, const At& at) const {
    as<typename Cell::value_type>(at[1]) = Load::apply(cell);
  }
};

// (target, other)
struct VisitStore {
  template <class Cell, class At>
  ATOMICS_HD void operator()(const Cell& cell, const At& at) const {
    Store::apply(cell, as<typename Cell::value_type>(at[1]));
  }
};

// (target, other)
template <class Op, class Scale>
struct VisitUpdate {
  Scale scale;

  template <class Cell, class At>
  ATOMICS_HD void operator()(const Cell& cell, const At& at) const {
    using Wide = typename Cell::operand_type;
    Op::apply(cell, scale(static_cast<Wide>(as<typename Cell::value_type>(at[1]))));
  }
};

// (target, other, old)
template <class Op>
struct VisitFetch {
  template <class Cell, class At>
  ATOMICS_HD void operator()(const Cell& cell, const At& at) const {
    using T = typename Cell::value_type;
    as<T>(at[2]) = Op::apply(cell, as<T>(at[1]));
  }
};

// (target, expected, desired, old, success)
struct VisitCompareExchange {
  template <class Cell, class At>
  ATOMICS_HD void operator()(const Cell& cell, const At& at) const {
    using T = typename Cell::value_type;
    T before = as<T>(at[1]);
    as<bool>(at[4]) = CompareExchange::apply(cell, before, as<T>(at[2]));
    as<T>(at[3]) = before;
  }
};

// (target, other, limit, old, success)
struct VisitAddBelow {
  template <class Cell, class At>
  ATOMICS_HD void operator()(const Cell& cell, const At& at) const {
    using T = typename Cell::value_type;
    as<bool>(at[4]) = AddBelow::apply(cell, as<T>(at[1]), as<T>(at[2]), as<T>(at[3]));
  }
};

// (target, other, old, overflowed)
struct VisitAddChecked {
  template <class Cell, class At>
  ATOMICS_HD void operator()(const Cell& cell, const At& at) const {
    using T = typename Cell::value_type;
    as<bool>(at[3]) = AddChecked::apply(cell, as<T>(at[1]), as<T>(at[2]));
  }
};

}  // namespace atomics
