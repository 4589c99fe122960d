// Plain loads and stores, for who holds the lock of what they touch.
#pragma once

#include <array>
#include <cstdint>
#include <tuple>
#include <type_traits>
#include <utility>

#include "../ops/cell.h"
#include "../small_float.h"
#include "cells.h"
#include "vectorised.h"

namespace atomics::cpu {

// A small float as the float that is calculated with, and back, in operations that compilers
// vectorise.
template <class C>
[[gnu::always_inline]] inline Widened<C> widened(C cell) {
  if constexpr (std::is_same_v<C, Widened<C>>) {
    return cell;
  } else {
    return SmallFloat<C>::template widen<float>(uint32_t{cell.x});
  }
}

template <class C>
[[gnu::always_inline]] inline C narrowed(Widened<C> value) {
  if constexpr (std::is_same_v<C, Widened<C>>) {
    return value;
  } else {
    C cell;
    cell.x = static_cast<uint16_t>(SmallFloat<C>::template nearest<uint32_t>(value));
    return cell;
  }
}

// Calls visit(cell, other) for the elements of two runs; visit has to be always_inline.
template <class C, class Other, class Visit>
void for_each_plain(const std::array<char*, 2>& at, const std::array<int64_t, 2>& step, int64_t n,
                    Visit visit) {
  auto* const cells = &as<C>(at[0]);
  const auto* const others = &as<Other>(at[1]);
  if (step[0] == sizeof(C) && step[1] == sizeof(Other)) {
    vectorised([=]() __attribute__((always_inline)) {
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) visit(cells[i], others[i]);
    });
  } else if (step[0] == sizeof(C) && step[1] == 0) {
    vectorised([=, other = *others]() __attribute__((always_inline)) {
#pragma GCC ivdep
      for (int64_t i = 0; i < n; ++i) visit(cells[i], other);
    });
  } else {
    for (int64_t i = 0; i < n; ++i) {
      visit(as<C>(at[0] + i * step[0]), as<Other>(at[1] + i * step[1]));
    }
  }
}

// The same for runs of elements of the types `Cs`; the first is what changes.
template <class... Cs, class Visit>
void for_each_of(const std::array<char*, sizeof...(Cs)>& at,
                 const std::array<int64_t, sizeof...(Cs)>& step, int64_t n, Visit visit) {
  [&]<size_t... k>(std::index_sequence<k...>) {
    if (((step[k] == sizeof(Cs)) && ...)) {
      const std::tuple<Cs*...> runs{&as<Cs>(at[k])...};
      vectorised([=]() __attribute__((always_inline)) {
#pragma GCC ivdep
        for (int64_t i = 0; i < n; ++i) visit(std::get<k>(runs)[i]...);
      });
    } else {
      for (int64_t i = 0; i < n; ++i) visit(as<Cs>(at[k] + i * step[k])...);
    }
  }(std::index_sequence_for<Cs...>{});
}

}  // namespace atomics::cpu
