// The types of PTX, what it calls them, and how its floats are added.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>

#include "grid.h"

namespace ptx {

using Half = _Float16;
struct BFloat16 {
  uint16_t bits;
};

inline float widened(Half value) { return static_cast<float>(value); }
inline float widened(BFloat16 value) {
  const uint32_t bits = uint32_t{value.bits} << 16;
  float result;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}

// A NaN is always this one; but of 64 bits, where nothing is said.
inline float canonical(float value) {
  const uint32_t nan = 0x7FFFFFFF;
  if (std::isnan(value)) std::memcpy(&value, &nan, sizeof(value));
  return value;
}
inline double canonical(double value) { return value; }

// To the nearest, ties to even.
template <class T>
T rounded(float value) {
  uint16_t bits = 0x7FFF;
  if constexpr (std::is_same_v<T, Half>) {
    if (!std::isnan(value)) return static_cast<Half>(value);
  } else {
    uint32_t wide;
    std::memcpy(&wide, &value, sizeof(wide));
    if (!std::isnan(value)) bits = static_cast<uint16_t>((wide + 0x7FFF + (wide >> 16 & 1)) >> 16);
  }
  T result;
  std::memcpy(&result, &bits, sizeof(result));
  return result;
}

template <class T>
concept Integer = std::is_integral_v<T>;
template <class T>
concept Number = !std::is_same_v<T, bool>;
template <class T>
concept Wrapping = Integer<T> && Number<T>;
template <class T>
concept Real = std::is_floating_point_v<T>;

template <class T>
constexpr uint32_t kBits = sizeof(T) * 8;

inline std::string joined(const Parts& parts) {
  std::string name;
  for (const std::string& part : parts) name += (name.empty() ? "" : ".") + part;
  return name;
}

// Of an instruction on registers: of integers, they wrap.
struct Add {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_floating_point_v<T>) {
      return canonical(a + b);
    } else {
      return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
    }
  }
};
struct Min {
  template <Integer T>
  T operator()(T a, T b) const {
    return b < a ? b : a;
  }
};
struct Max {
  template <Integer T>
  T operator()(T a, T b) const {
    return a < b ? b : a;
  }
};
struct And {
  template <Integer T>
  T operator()(T a, T b) const {
    return static_cast<T>(a & b);
  }
};
struct Or {
  template <Integer T>
  T operator()(T a, T b) const {
    return static_cast<T>(a | b);
  }
};
struct Xor {
  template <Integer T>
  T operator()(T a, T b) const {
    return static_cast<T>(a ^ b);
  }
};

// What make.operator()<T>() returns for the type of a name; nothing if there is none.
template <class Make>
auto with_type(const std::string& name, Make make)
    -> decltype(make.template operator()<uint32_t>()) {
  if (name == "u8" || name == "b8") return make.template operator()<uint8_t>();
  if (name == "u16" || name == "b16") return make.template operator()<uint16_t>();
  if (name == "u32" || name == "b32") return make.template operator()<uint32_t>();
  if (name == "u64" || name == "b64") return make.template operator()<uint64_t>();
  if (name == "s8") return make.template operator()<int8_t>();
  if (name == "s16") return make.template operator()<int16_t>();
  if (name == "s32") return make.template operator()<int32_t>();
  if (name == "s64") return make.template operator()<int64_t>();
  if (name == "f32") return make.template operator()<float>();
  if (name == "f64") return make.template operator()<double>();
  if (name == "pred") return make.template operator()<bool>();
  return {};
}

}  // namespace ptx
