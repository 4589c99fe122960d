// From a dtype known at run time to a C++ type, over a list of types. A new dtype is one row here.
#pragma once

#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>

#include <type_traits>

#include "fail.h"
#include "ops/table.h"
#include "view.h"

namespace atomics {

using torch::headeronly::BFloat16;
using torch::headeronly::CppTypeToScalarType;
using torch::headeronly::Half;

using Integers = TypeList<uint8_t, int8_t, int16_t, int32_t, int64_t>;
using IntegersAndBool = TypeList<bool, uint8_t, int8_t, int16_t, int32_t, int64_t>;
using Floats = TypeList<Half, BFloat16, float, double>;
using SmallFloats = TypeList<Half, BFloat16>;
using FusedTypes = TypeList<float, double, BFloat16>;  // of parameters that an optimizer steps
using Indices = TypeList<int32_t, int64_t>;

// The types of an op's dtypes, see ops/cell.h.
inline Joined<IntegersAndBool, Floats> types(EveryDtype) { return {}; }
inline Joined<Integers, Floats> types(NumberDtypes) { return {}; }
inline Integers types(IntegerDtypes) { return {}; }
inline IntegersAndBool types(BitDtypes) { return {}; }

template <class Op>
using TypesOf = decltype(types(typename Op::Dtypes{}));

template <class T>
std::string name_of_type() {
  return dtype_name(CppTypeToScalarType<T>::value);
}

template <class... Ts>
std::string dtype_names(TypeList<Ts...>) {
  std::string names;
  size_t left = sizeof...(Ts);
  ((names += (names.empty() ? "" : left == 1 ? " or " : ", ") + name_of_type<Ts>(), --left), ...);
  return names;
}

template <class... Ts>
bool is_listed(ScalarType dtype, TypeList<Ts...>) {
  return ((dtype == CppTypeToScalarType<Ts>::value) || ...);
}

template <class... Ts>
void check_dtype(const char* op, const char* name, ScalarType dtype, TypeList<Ts...> types) {
  if (!is_listed(dtype, types)) {
    fail(op, name, "have dtype " + dtype_names(types), dtype_name(dtype));
  }
}

template <class... Ts>
void check_dtype(const char* op, const View& view, TypeList<Ts...> types) {
  check_dtype(op, view.name, view.dtype, types);
}

// Calls f.template operator()<T>() for the type of `dtype`, which check_dtype has found in the
// list.
template <class... Ts, class F>
void dispatch(TypeList<Ts...>, ScalarType dtype, F&& f) {
  ((dtype == CppTypeToScalarType<Ts>::value ? f.template operator()<Ts>() : void()), ...);
}

}  // namespace atomics
