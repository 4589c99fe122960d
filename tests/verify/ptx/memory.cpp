// Instructions on memory. Each is done whole, but for the elements of a vector that is added.
#include <set>

#include "number.h"

namespace ptx {

namespace {

enum class Space { kGlobal, kLocal, kParam };

// What a name says behind its first part.
struct Access {
  std::string op;
  std::string type;
  Space space = Space::kGlobal;
  bool ordered = false;  // relaxed or acquire, in a scope
  bool no_flush = false;
  size_t count = 1;  // of a vector
  int scope = -1;
  bool known = true;
};

Access access(const Parts& parts) {
  static const std::map<std::string, Space> spaces{
      {"global", Space::kGlobal}, {"local", Space::kLocal}, {"param", Space::kParam}};
  static const std::set<std::string> ops{"add", "min", "max", "and", "or", "xor", "exch", "cas"};
  Access access;
  access.type = parts.back();
  for (size_t k = 1; k + 1 < parts.size(); ++k) {
    const std::string& part = parts[k];
    if (spaces.contains(part)) {
      access.space = spaces.at(part);
    } else if (ops.contains(part)) {
      access.op = part;
    } else if (part == "relaxed" || part == "acquire") {
      access.ordered = true;
    } else if (part == "gpu" || part == "sys") {
      access.scope = part == "gpu" ? 1 : 0;
    } else if (part == "v2" || part == "v4") {
      access.count = part == "v2" ? 2 : 4;
    } else if (part == "noftz") {
      access.no_flush = true;
    } else if (part != "volatile") {
      access.known = false;
    }
  }
  access.known = access.known && access.ordered == (access.scope >= 0);
  return access;
}

// A GPU stops where an address is not a multiple of what is accessed.
template <class T, size_t n = 1, Space space = Space::kGlobal>
T* where(Thread& t, const Operand& operand) {
  const auto address = get<uint64_t>(t, operand);
  if (address % (n * sizeof(T)) != 0) throw Error("not aligned");
  auto* const at = reinterpret_cast<T*>(address);
  if constexpr (space == Space::kParam) t.grid->check_param(at, n * sizeof(T));
  if constexpr (space == Space::kLocal) t.grid->check_local(t, at, n * sizeof(T));
  return at;
}

template <class T, size_t n, Space space>
void load(Thread& t, const Instruction& i) {
  const T* const at = where<T, n, space>(t, i.at[n]);
  T values[n];
  std::memcpy(values, at, sizeof(values));
  for (size_t k = 0; k < n; ++k) set<T>(t, i.at[k], values[k]);
}
template <class T, size_t n, Space space>
void store(Thread& t, const Instruction& i) {
  T* const at = where<T, n, space>(t, i.at[0]);
  for (size_t k = 0; k < n; ++k) at[k] = get<T>(t, i.at[k + 1]);
}

template <bool is_load, class T, size_t n>
Step in_space(Space space) {
  constexpr auto of = []<Space s>() -> Step { return is_load ? load<T, n, s> : store<T, n, s>; };
  if (space == Space::kLocal) return of.template operator()<Space::kLocal>();
  if (space == Space::kParam) return of.template operator()<Space::kParam>();
  return of.template operator()<Space::kGlobal>();
}
template <bool is_load>
Step plain(const Access& access) {
  return with_type(access.type, [&]<class T>() -> Step {
    if (access.count == 4) return in_space<is_load, T, 4>(access.space);
    if (access.count == 2) return in_space<is_load, T, 2>(access.space);
    return in_space<is_load, T, 1>(access.space);
  });
}

// An addition to memory takes subnormal floats of 32 bits for zeros.
float flushed(float value) {
  return std::fpclassify(value) == FP_SUBNORMAL ? std::copysign(0.0f, value) : value;
}
struct AddInMemory {
  template <class T>
  T operator()(T a, T b) const {
    if constexpr (std::is_same_v<T, float>) {
      return canonical(flushed(flushed(a) + flushed(b)));
    } else if constexpr (std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>) {
      return rounded<T>(widened(a) + widened(b));
    } else {
      return Add{}(a, b);
    }
  }
};
struct Exchange {
  template <class T>
  T operator()(T, T b) const {
    return b;
  }
};

template <class F, class T>
void fetch(Thread& t, const Instruction& i) {
  T* const at = where<T>(t, i.at[1]);
  const T before = *at;
  *at = F{}(before, get<T>(t, i.at[2]));
  set<T>(t, i.at[0], before);
}
template <class F, class T>
void update(Thread& t, const Instruction& i) {
  T* const at = where<T>(t, i.at[0]);
  *at = F{}(*at, get<T>(t, i.at[1]));
}
template <class T>
void compare_and_swap(Thread& t, const Instruction& i) {
  T* const at = where<T>(t, i.at[1]);
  const T before = *at;
  if (before == get<T>(t, i.at[2])) *at = get<T>(t, i.at[3]);
  set<T>(t, i.at[0], before);
}

template <class F>
Step read_modify_write(bool fetches, const std::string& type) {
  return with_type(type, [&]<class T>() -> Step {
    if constexpr (sizeof(T) >= 4 && std::is_invocable_r_v<T, F, T, T>) {
      return fetches ? fetch<F, T> : update<F, T>;
    }
    return nullptr;
  });
}

// The four words of a vector hold elements that are atomic each for itself: one is added at a time,
// in any order.
template <class T>
void add_vector(Thread& t, const Instruction& i) {
  constexpr unsigned kOfWord = 4 / sizeof(T);
  constexpr unsigned kCount = 4 * kOfWord;
  T* const at = where<T, kCount>(t, i.at[0]);
  if (t.done == 0) t.order = t.grid->draw() % kCount;
  const unsigned k = t.done ^ t.order;
  const auto word = get<uint32_t>(t, i.at[1 + k / kOfWord]) >> k % kOfWord * 16;
  T other;
  std::memcpy(&other, &word, sizeof(other));
  at[k] = AddInMemory{}(at[k], other);
  t.done = (t.done + 1) % kCount;
  if (t.done != 0) --t.next;
}

Step vector(const Access& access) {
  if (access.op != "add" || access.count != 4 || access.space != Space::kGlobal) return nullptr;
  if (access.type == "f32") return add_vector<float>;
  if (access.type == "f16x2" && access.no_flush) return add_vector<Half>;
  if (access.type == "bf16x2" && access.no_flush) return add_vector<BFloat16>;
  return nullptr;
}

Step atomic(bool fetches, const Access& access) {
  if (!access.ordered || access.space != Space::kGlobal) return nullptr;
  if (access.count != 1) return fetches ? nullptr : vector(access);
  if (access.op == "cas" && access.type == "b32") return compare_and_swap<uint32_t>;
  if (access.op == "cas" && access.type == "b64") return compare_and_swap<uint64_t>;
  static const std::map<std::string, Step (*)(bool, const std::string&)> ops{
      {"add", read_modify_write<AddInMemory>}, {"min", read_modify_write<Min>},
      {"max", read_modify_write<Max>},         {"and", read_modify_write<And>},
      {"or", read_modify_write<Or>},           {"xor", read_modify_write<Xor>},
      {"exch", read_modify_write<Exchange>}};
  const auto of = ops.find(access.op);
  return of == ops.end() ? nullptr : of->second(fetches, access.type);
}

void order(Thread&, const Instruction&) {}  // what others have done is seen at once here

}  // namespace

Manner memory(const Parts& parts) {
  if (parts == Parts{"membar", "sys"}) return {order, true};
  if (parts == Parts{"fence", "sc", "sys"}) return {order, true, 0};
  if (parts == Parts{"fence", "sc", "gpu"}) return {order, true, 1};
  const Access found = access(parts);
  if (!found.known) return {};
  Manner manner{nullptr, found.space == Space::kGlobal, found.scope};
  if (found.op.empty() && parts[0] == "ld") manner.step = plain<true>(found);
  if (found.op.empty() && parts[0] == "st") manner.step = plain<false>(found);
  if (parts[0] == "atom" || parts[0] == "red") manner.step = atomic(parts[0] == "atom", found);
  return manner;
}

}  // namespace ptx
