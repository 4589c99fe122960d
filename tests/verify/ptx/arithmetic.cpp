// Instructions that calculate.
#include "number.h"

namespace ptx {

namespace {

struct Sub {
  template <Number T>
  T operator()(T a, T b) const {
    if constexpr (Real<T>) {
      return canonical(a - b);
    } else {
      return static_cast<T>(static_cast<uint64_t>(a) - static_cast<uint64_t>(b));
    }
  }
};
struct Multiply {
  template <Number T>
  T operator()(T a, T b) const {
    if constexpr (Real<T>) {
      return canonical(a * b);
    } else {
      return static_cast<T>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
    }
  }
};
struct Divide {
  template <Wrapping T>
  T operator()(T a, T b) const {
    if (b == 0) throw Error("a division by zero");
    return b == T(-1) && std::is_signed_v<T> ? Sub{}(T{0}, a) : static_cast<T>(a / b);
  }
};
struct Remainder {
  template <Wrapping T>
  T operator()(T a, T b) const {
    return Sub{}(a, Multiply{}(Divide{}(a, b), b));
  }
};

struct Negate {
  template <Number T>
  T operator()(T a) const {
    if constexpr (Real<T>) {
      return -a;
    } else {
      return Sub{}(T{0}, a);
    }
  }
};
struct Not {
  template <Integer T>
  T operator()(T a) const {
    if constexpr (std::is_same_v<T, bool>) {
      return !a;
    } else {
      return static_cast<T>(~a);
    }
  }
};
struct Move {
  template <class T>
  T operator()(T a) const {
    return a;
  }
};
struct ShiftLeft {
  template <Wrapping T>
  T operator()(T a, uint32_t by) const {
    return by < kBits<T> ? static_cast<T>(static_cast<uint64_t>(a) << by) : T{0};
  }
};
struct ShiftRight {
  template <Wrapping T>
  T operator()(T a, uint32_t by) const {
    if (by >= kBits<T>) return a < T{0} ? static_cast<T>(-1) : T{0};
    return static_cast<T>(a >> by);
  }
};

template <class F>
Step unary(const std::string& type) {
  return with_type(type, []<class T>() -> Step {
    if constexpr (std::is_invocable_r_v<T, F, T>) {
      return [](Thread& t, const Instruction& i) { set<T>(t, i.at[0], F{}(get<T>(t, i.at[1]))); };
    }
    return nullptr;
  });
}

// `Other`: the second operand's type, if it is not that of the name.
template <class F, class Other = void>
Step binary(const std::string& type) {
  return with_type(type, []<class T>() -> Step {
    using B = std::conditional_t<std::is_void_v<Other>, T, Other>;
    if constexpr (std::is_invocable_r_v<T, F, T, B>) {
      return [](Thread& t, const Instruction& i) {
        set<T>(t, i.at[0], F{}(get<T>(t, i.at[1]), get<B>(t, i.at[2])));
      };
    }
    return nullptr;
  });
}

template <class Wide, class T>
void multiply_wide(Thread& t, const Instruction& i) {
  set<Wide>(t, i.at[0], Wide{get<T>(t, i.at[1])} * Wide{get<T>(t, i.at[2])});
}

using Find = Step (*)(const std::string& type);

const std::map<std::string, Find> kOfType{{"add", binary<Add>},
                                          {"sub", binary<Sub>},
                                          {"mul.lo", binary<Multiply>},
                                          {"div", binary<Divide>},
                                          {"rem", binary<Remainder>},
                                          {"min", binary<Min>},
                                          {"max", binary<Max>},
                                          {"and", binary<And>},
                                          {"or", binary<Or>},
                                          {"xor", binary<Xor>},
                                          {"shl", binary<ShiftLeft, uint32_t>},
                                          {"shr", binary<ShiftRight, uint32_t>},
                                          {"neg", unary<Negate>},
                                          {"not", unary<Not>},
                                          {"cvta", unary<Move>},
                                          {"cvta.to.global", unary<Move>},
                                          {"cvta.local", unary<Move>},
                                          {"cvta.to.local", unary<Move>}};

// Of integers the low half.
template <class T>
void multiply_add(Thread& t, const Instruction& i) {
  const auto a = get<T>(t, i.at[1]);
  const auto b = get<T>(t, i.at[2]);
  const auto c = get<T>(t, i.at[3]);
  if constexpr (Real<T>) {
    set<T>(t, i.at[0], canonical(std::fma(a, b, c)));
  } else {
    set<T>(t, i.at[0], Add{}(Multiply{}(a, b), c));
  }
}

const std::map<std::string, Step> kNamed{{"mul.f32", binary<Multiply>("f32")},
                                         {"mul.f64", binary<Multiply>("f64")},
                                         {"mul.wide.u16", multiply_wide<uint32_t, uint16_t>},
                                         {"mul.wide.s16", multiply_wide<int32_t, int16_t>},
                                         {"mul.wide.u32", multiply_wide<uint64_t, uint32_t>},
                                         {"mul.wide.s32", multiply_wide<int64_t, int32_t>},
                                         {"mad.lo.s64", multiply_add<int64_t>},
                                         {"mad.lo.s32", multiply_add<int32_t>},
                                         {"fma.rn.f32", multiply_add<float>},
                                         {"fma.rn.f64", multiply_add<double>}};

}  // namespace

Manner arithmetic(const Parts& parts) {
  if (const auto found = kNamed.find(joined(parts)); found != kNamed.end()) {
    return {found->second};
  }
  const auto found = kOfType.find(joined({parts.begin(), parts.end() - 1}));
  return {found == kOfType.end() ? nullptr : found->second(parts.back())};
}

}  // namespace ptx
