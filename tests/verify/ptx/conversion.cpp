// Instructions that move and convert.
#include "number.h"

namespace ptx {

namespace {

// A register, or one in parts of which the first is the lowest.
template <class T>
void move(Thread& t, const Instruction& i) {
  const size_t parts = i.at.size() - 1;
  if (parts == 1) return set<T>(t, i.at[0], get<T>(t, i.at[1]));
  const size_t width = sizeof(T) * 8 / parts;
  const uint64_t mask = (uint64_t{1} << width) - 1;
  if (i.first_is_vector) {
    const auto whole = get<uint64_t>(t, i.at[parts]);
    for (size_t k = 0; k < parts; ++k) set<uint64_t>(t, i.at[k], whole >> k * width & mask);
  } else {
    uint64_t whole = 0;
    for (size_t k = 0; k < parts; ++k) {
      whole |= (get<uint64_t>(t, i.at[k + 1]) & mask) << k * width;
    }
    set<uint64_t>(t, i.at[0], whole);
  }
}

template <class To, class From>
void convert(Thread& t, const Instruction& i) {
  set<To>(t, i.at[0], static_cast<To>(get<From>(t, i.at[1])));
}
template <class From>
void widen(Thread& t, const Instruction& i) {
  set<float>(t, i.at[0], canonical(widened(get<From>(t, i.at[1]))));
}
template <class To>
void round(Thread& t, const Instruction& i) {
  set<To>(t, i.at[0], rounded<To>(get<float>(t, i.at[1])));
}

// Towards zero; to the nearest number that there is, and 0 of a NaN.
void truncate(Thread& t, const Instruction& i) {
  const float value = get<float>(t, i.at[1]);
  const float bounded = std::isnan(value) ? 0 : std::fmin(std::fmax(value, -0x1p31f), 0x1p31f);
  const auto whole = static_cast<int64_t>(bounded);
  set<int32_t>(t, i.at[0], static_cast<int32_t>(whole > INT32_MAX ? INT32_MAX : whole));
}

const std::map<std::string, Step> kNamed{{"cvt.f32.f16", widen<Half>},
                                         {"cvt.f32.bf16", widen<BFloat16>},
                                         {"cvt.rn.f16.f32", round<Half>},
                                         {"cvt.rn.bf16.f32", round<BFloat16>},
                                         {"cvt.rn.f32.s32", convert<float, int32_t>},
                                         {"cvt.rn.f32.u32", convert<float, uint32_t>},
                                         {"cvt.rzi.s32.f32", truncate}};

}  // namespace

Manner conversion(const Parts& parts) {
  if (const auto found = kNamed.find(joined(parts)); found != kNamed.end()) return {found->second};
  if (parts[0] == "mov" && parts.size() == 2) {
    return {with_type(parts[1], []<class T>() -> Step { return move<T>; })};
  }
  if (parts[0] != "cvt" || parts.size() != 3) return {};
  return {with_type(parts[1], [&]<class To>() -> Step {
    return with_type(parts[2], []<class From>() -> Step {
      if constexpr (std::is_integral_v<To> && std::is_integral_v<From>) return convert<To, From>;
      return nullptr;
    });
  })};
}

}  // namespace ptx
