// The Meta kernels of the ops on handles, see shapes.h. What a handle names is not known in a
// trace: results are of the shape that the call says, which a run checks.
#include "shapes.h"

namespace atomics::meta {

namespace {

void check_handle(const char* op, const Tensor& handle) {
  check_dtype(op, "handle", handle.scalar_type(), TypeList<int64_t>{});
}

// A handle is on the CPU, as what it names: one beside a meta tensor is no trace, but a call that
// would do nothing.
template <class Types>
void check_operand(const char* op, const Tensor& handle, const char* name, const Tensor& other,
                   Types types) {
  check_handle(op, handle);
  check_device(op, handle, name, other, "handle");
  check_dtype(op, name, other.scalar_type(), types);
}

struct HandleLoadShape {
  static std::string name() { return "handle_load"; }
  static Tensor call(const Tensor& handle, const std::vector<int64_t>& size, ScalarType dtype) {
    check_handle("handle_load", handle);
    check_dtype("handle_load", "dtype", dtype, TypesOf<Load>{});
    return empty(static_cast<int64_t>(size.size()), size.data(), dtype, DeviceType::Meta);
  }
};

struct HandleStoreShape {
  static std::string name() { return "handle_store_"; }
  static void call(const Tensor& handle, const Tensor& other) {
    check_operand("handle_store_", handle, "other", other, TypesOf<Store>{});
  }
};

struct HandleAddShape {
  static std::string name() { return "handle_add_"; }
  static void call(const Tensor& handle, const Tensor& other, double alpha,
                   std::optional<int64_t> seed) {
    constexpr auto kName = "handle_add_";
    check_operand(kName, handle, "other", other, TypesOf<Add>{});
    check_alpha(kName, other.scalar_type(), alpha);
    check_seed(kName, other.scalar_type(), seed);
  }
};

struct HandleFetchAddShape {
  static std::string name() { return "handle_fetch_add"; }
  static Tensor call(const Tensor& handle, const Tensor& other) {
    check_operand("handle_fetch_add", handle, "other", other, TypesOf<Add>{});
    return contiguous_like(other);
  }
};

void check_guarded_add(const char* name, const Tensor& handle, const Tensor& other, double alpha) {
  constexpr auto kName = "handle_guarded_add_";
  check_operand(kName, handle, name, other, TypesOf<Add>{});
  check_alpha(kName, other.scalar_type(), alpha);
}

struct HandleGuardedAddShape {
  static std::string name() { return "handle_guarded_add_"; }
  static void call(const Tensor& handle, const Tensor& other, double alpha) {
    check_guarded_add("other", handle, other, alpha);
  }
};

struct HandleGuardedAddListShape {
  static std::string name() { return "handle_guarded_add_.list"; }
  static void call(const Tensor& handle, const std::vector<Tensor>& more,
                   const std::vector<Tensor>& others, double alpha) {
    constexpr auto kName = "handle_guarded_add_";
    check_handles(kName, more, others);
    for (const Tensor& each : more) check_device(kName, handle, "handle", each, "the first");
    for (size_t k = 0; k < others.size(); ++k) {
      check_guarded_add("others", k == 0 ? handle : more[k - 1], others[k], alpha);
    }
  }
};

struct HandleAfterShape {
  static std::string name() { return "handle_after"; }
  static void call(const Tensor& handle, const std::vector<Tensor>&) {
    check_handle("handle_after", handle);
  }
};

using Shapes = TypeList<HandleLoadShape, HandleStoreShape, HandleAddShape, HandleFetchAddShape,
                        HandleGuardedAddShape, HandleGuardedAddListShape, HandleAfterShape>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, Meta, m) { implement(m, Shapes{}); }

}  // namespace atomics::meta
