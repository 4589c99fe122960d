// The ops that make, release and order handles. Those that work on what a handle names stand beside
// the ops that they are forms of.
#include "../counter_line.h"
#include "../dispatch.h"
#include "../register.h"
#include "by_handle.h"
#include "guarded.h"

namespace atomics::cpu {

namespace {

void check_target(const char* op, const Tensor& target) {
  const View cells("target", target);
  check_dtype(op, cells, TypesOf<Load>{});
  check_memory(op, cells);
  check_written(op, cells);
}

struct Handle {
  static constexpr const char* kName = "handle";
  static std::string name() { return kName; }

  static Tensor call(const Tensor& target, int64_t sleepers) {
    check_target(kName, target);
    return make_handle(kName, {.target = target.share(),
                               .address = target.mutable_data_ptr(),
                               .mutex = Tensor(nullptr),
                               .sleepers = sleepers_of(target, sleepers)});
  }

 private:
  static Sleepers sleepers_of(const Tensor& target, int64_t sleepers) {
    const View cell("target", target);
    switch (sleepers) {
      case kNobody:
        return kNobody;
      case kOfCounter: {
        check_dtype(kName, cell, TypeList<int64_t>{});
        check_one_element(kName, cell);
        const int64_t after = target.storage_bytes() - target.storage_offset() * cell.itemsize;
        constexpr int64_t kLine = CounterLine::kBytes;
        if (after < kLine) {
          fail(kName, "target", "be the first of a Counter's 64 bytes",
               "one of " + std::to_string(after));
        }
        return kOfCounter;
      }
      case kOfFlag:
        check_dtype(kName, cell, TypeList<int32_t>{});
        check_one_element(kName, cell);
        return kOfFlag;
      default:
        fail(kName, "sleepers", "be 0 for none, 1 for a Counter's or 2 for a flag's",
             std::to_string(sleepers));
    }
  }
};

struct GuardedHandle {
  static constexpr const char* kName = "handle";
  static std::string name() { return "handle.guarded"; }

  static Tensor call(const Tensor& mutex, const Tensor& target, int64_t first) {
    check_target(kName, target);
    check_first(kName, first);
    const View cells("target", target);
    check_no_overlap(kName, {"mutex", mutex}, cells);
    auto stripes = stripes_of(kName, mutex);
    verify(stripes, {cells, first});
    const auto* const slots = slots_of(kName, {"mutex", mutex});
    auto anchor = std::make_unique<mutex::Anchor>(kName, slots, mutex::read_header(kName, slots));
    return make_handle(kName, {.target = target.share(),
                               .address = target.mutable_data_ptr(),
                               .mutex = mutex.share(),
                               .anchor = std::move(anchor),
                               .first = first});
  }
};

struct HandleRelease {
  static std::string name() { return "handle_release"; }
  static void call(const Tensor& handle) { release_handle("handle_release", handle); }
};

// Nothing to do: that the handle is changed after the tensors were calculated is the point.
struct HandleAfter {
  static std::string name() { return "handle_after"; }
  static void call(const Tensor& handle, const std::vector<Tensor>&) {
    const HandleUse use("handle_after", handle);
  }
};

using Kernels = TypeList<Handle, GuardedHandle, HandleRelease>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, CPU, m) { implement(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Negative, m) { refuse<NegativeView>(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, Conjugate, m) { refuse<ConjugateView>(m, Kernels{}); }
STABLE_TORCH_LIBRARY_IMPL(atomics, CompositeExplicitAutograd, m) {
  implement(m, TypeList<HandleAfter>{});
}

}  // namespace atomics::cpu
