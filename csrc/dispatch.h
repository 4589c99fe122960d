// From a dtype known at run time to a C++ type, over a list of types. A new dtype is one row here.
#pragma once

#include <type_traits>

#include "fail.h"
#include "ops/table.h"
#include "view.h"

namespace atomics {

using torch::headeronly::CppTypeToScalarType;

using Arithmetic = TypeList<int32_t, int64_t, float, double>;
using Integers = TypeList<int32_t, int64_t>;
using Floats = TypeList<float, double>;

// The dtypes that the `.int` and the `.float` overloads take.
template <class Number>
using TypesOf = std::conditional_t<std::is_integral_v<Number>, Integers, Floats>;

template <class... Ts>
std::string dtype_names(TypeList<Ts...>) {
  std::string names;
  size_t left = sizeof...(Ts);
  ((names += (names.empty() ? ""
              : left == 1   ? " or "
                            : ", ") +
             dtype_name(CppTypeToScalarType<Ts>::value),
    --left),
   ...);
  return names;
}

template <class... Ts>
bool is_listed(ScalarType dtype, TypeList<Ts...>) {
  return ((dtype == CppTypeToScalarType<Ts>::value) || ...);
}

template <class... Ts>
void check_dtype(const char* op, const View& view, TypeList<Ts...> types) {
  if (!is_listed(view.dtype, types)) {
    fail(op, view.name, "have dtype " + dtype_names(types), dtype_name(view.dtype));
  }
}

// Calls f.template operator()<T>() for the type of `dtype`, which check_dtype has found in the
// list.
template <class... Ts, class F>
void dispatch(TypeList<Ts...>, ScalarType dtype, F&& f) {
  ((dtype == CppTypeToScalarType<Ts>::value ? f.template operator()<Ts>() : void()), ...);
}

}  // namespace atomics
