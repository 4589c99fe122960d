// What a sanitizer has to report, compiled into its build of the op library and into no other.
#include <cstdint>

#include "../register.h"

namespace atomics::cpu {

namespace {

int64_t* words_of(const Tensor& tensor) { return static_cast<int64_t*>(tensor.mutable_data_ptr()); }

struct RacyAdd {
  static std::string name() { return "racy_add_"; }
  static void call(const Tensor& target, const Tensor& other) {
    const View view("target", target);
    for (int64_t i = 0; i < view.numel; ++i) words_of(target)[i] += words_of(other)[i];
  }
};

struct ReadPastTheEnd {
  static std::string name() { return "read_past_the_end"; }
  static int64_t call(const Tensor& target) {
    return words_of(target)[View("target", target).numel];
  }
};

struct ReadMisaligned {
  static std::string name() { return "read_misaligned"; }
  static int64_t call(const Tensor& target) { return *words_of(target); }
};

struct Overflow {
  static std::string name() { return "overflow"; }
  static int64_t call(const Tensor& target) { return *words_of(target) + INT64_MAX; }
};

using Kernels = TypeList<RacyAdd, ReadPastTheEnd, ReadMisaligned, Overflow>;

}  // namespace

STABLE_TORCH_LIBRARY(atomics_control, m) {
  m.def("racy_add_(Tensor(a!) target, Tensor other) -> ()");
  m.def("read_past_the_end(Tensor target) -> int");
  m.def("read_misaligned(Tensor target) -> int");
  m.def("overflow(Tensor target) -> int");
}
STABLE_TORCH_LIBRARY_IMPL(atomics_control, CPU, m) { implement(m, Kernels{}); }

}  // namespace atomics::cpu
