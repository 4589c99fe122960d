// What the op structs say of themselves: on which dtypes they are defined, and as what they see a
// cell of dtype T. No torch header here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace atomics {

// The dtypes of an op; dispatch.h lists them.
struct EveryDtype {};
struct NumberDtypes {};   // all but bool
struct IntegerDtypes {};  // without bool
struct BitDtypes {};      // integers and bool

template <size_t size>
struct Unsigned;
template <>
struct Unsigned<1> {
  using type = uint8_t;
};
template <>
struct Unsigned<2> {
  using type = uint16_t;
};
template <>
struct Unsigned<4> {
  using type = uint32_t;
};
template <>
struct Unsigned<8> {
  using type = uint64_t;
};

// A cell whose bits only are looked at.
template <class T>
using Bits = typename Unsigned<sizeof(T)>::type;

// A cell that is calculated with: integers as unsigned ones, which wrap.
template <class T>
using Wrapping = std::conditional_t<std::is_integral_v<T>, Bits<T>, T>;

// A cell that is compared: a bool as its byte, of 0 or 1.
template <class T>
using Ordered = std::conditional_t<std::is_same_v<T, bool>, uint8_t, T>;

// A 16-bit float is calculated with as a float and rounded once.
template <class T>
using Widened = std::conditional_t<sizeof(T) == 2 && !std::is_integral_v<T>, float, T>;

}  // namespace atomics
