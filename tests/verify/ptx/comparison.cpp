// Instructions that compare, and the one that selects.
#include <functional>

#include "number.h"

namespace ptx {

namespace {

// Of numbers only.
template <class F>
struct Ordered {
  template <Number T>
  bool operator()(T a, T b) const {
    return a == a && b == b && F{}(a, b);
  }
};
// Of floats: true of a NaN.
template <class F>
struct OrNaN {
  template <Real T>
  bool operator()(T a, T b) const {
    return a != a || b != b || F{}(a, b);
  }
};
template <bool result>
struct Always {
  template <class T>
  bool operator()(T, T) const {
    return result;
  }
};

template <class F>
Step compare(const std::string& type) {
  return with_type(type, []<class T>() -> Step {
    if constexpr (std::is_invocable_r_v<bool, F, T, T>) {
      return [](Thread& t, const Instruction& i) {
        set<bool>(t, i.at[0], F{}(get<T>(t, i.at[1]), get<T>(t, i.at[2])));
      };
    }
    return nullptr;
  });
}

const std::map<std::string, Step (*)(const std::string&)> kComparisons{
    {"eq", compare<Ordered<std::equal_to<>>>}, {"ne", compare<Ordered<std::not_equal_to<>>>},
    {"lt", compare<Ordered<std::less<>>>},     {"le", compare<Ordered<std::less_equal<>>>},
    {"gt", compare<Ordered<std::greater<>>>},  {"ge", compare<Ordered<std::greater_equal<>>>},
    {"equ", compare<OrNaN<std::equal_to<>>>},  {"neu", compare<OrNaN<std::not_equal_to<>>>},
    {"ltu", compare<OrNaN<std::less<>>>},      {"leu", compare<OrNaN<std::less_equal<>>>},
    {"gtu", compare<OrNaN<std::greater<>>>},   {"geu", compare<OrNaN<std::greater_equal<>>>},
    {"num", compare<Ordered<Always<true>>>},   {"nan", compare<OrNaN<Always<false>>>}};

Step select(const std::string& type) {
  return with_type(type, []<class T>() -> Step {
    return [](Thread& t, const Instruction& i) {
      set<T>(t, i.at[0], get<T>(t, get<bool>(t, i.at[3]) ? i.at[1] : i.at[2]));
    };
  });
}

}  // namespace

Manner comparison(const Parts& parts) {
  if (parts[0] == "selp" && parts.size() == 2) return {select(parts[1])};
  if (parts[0] != "setp" || parts.size() != 3) return {};
  const auto found = kComparisons.find(parts[1]);
  return {found == kComparisons.end() ? nullptr : found->second(parts[2])};
}

}  // namespace ptx
