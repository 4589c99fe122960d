// The Meta kernels of all but the guarded ops: what an op returns, for tracing. Ops that return
// numbers have no Meta kernel on purpose: with one, torch.export would bake its 0 into the program.
#include "shapes.h"

namespace atomics::meta {

namespace {

template <class Op>
void check_target(const char* op, const Tensor& target) {
  check_dtype(op, "target", target.scalar_type(), TypesOf<Op>{});
}

struct LoadShape {
  static std::string name() { return Load::kName; }
  static Tensor call(const Tensor& target) {
    check_target<Load>(Load::kName, target);
    return contiguous_like(target);
  }
};

struct StoreShape {
  static std::string name() { return Store::kName; }
  static void call(const Tensor& target, const Tensor& other) {
    check_target<Store>(Store::kName, target);
    check_operand(Store::kName, target, "other", other);
  }
};

struct CompareExchangeShape {
  static std::string name() { return CompareExchange::kName; }
  static std::tuple<Tensor, Tensor> call(const Tensor& target, const Tensor& expected,
                                         const Tensor& desired) {
    check_target<CompareExchange>(CompareExchange::kName, target);
    check_operand(CompareExchange::kName, target, "expected", expected);
    check_operand(CompareExchange::kName, target, "desired", desired);
    return {contiguous_like(target), contiguous_like(target, ScalarType::Bool)};
  }
};

template <class Op>
struct FetchShape {
  static std::string name() { return Op::kFetch; }
  static Tensor call(const Tensor& target, const Tensor& other) {
    check_target<Op>(Op::kFetch, target);
    check_operand(Op::kFetch, target, "other", other);
    return contiguous_like(target);
  }
};

struct AddBelowShape {
  static std::string name() { return AddBelow::kName; }
  static std::tuple<Tensor, Tensor> call(const Tensor& target, const Tensor& other,
                                         const Tensor& limit) {
    check_target<AddBelow>(AddBelow::kName, target);
    check_operand(AddBelow::kName, target, "other", other);
    check_operand(AddBelow::kName, target, "limit", limit);
    return {contiguous_like(target), contiguous_like(target, ScalarType::Bool)};
  }
};

struct AddCheckedShape {
  static std::string name() { return AddChecked::kName; }
  static std::tuple<Tensor, Tensor> call(const Tensor& target, const Tensor& other) {
    check_target<AddChecked>(AddChecked::kName, target);
    check_operand(AddChecked::kName, target, "other", other);
    return {contiguous_like(target), contiguous_like(target, ScalarType::Bool)};
  }
};

template <class Op>
struct ScaledUpdateShape {
  static std::string name() { return Op::kUpdate; }
  static void call(const Tensor& target, const Tensor& other, double alpha,
                   std::optional<int64_t> seed) {
    check_target<Op>(Op::kUpdate, target);
    check_alpha(Op::kUpdate, target.scalar_type(), alpha);
    check_seed(Op::kUpdate, target.scalar_type(), seed);
    check_operand(Op::kUpdate, target, "other", other);
  }
};

template <class Op>
struct UpdateShape {
  static std::string name() { return Op::kUpdate; }
  static void call(const Tensor& target, const Tensor& other) {
    check_target<Op>(Op::kUpdate, target);
    check_operand(Op::kUpdate, target, "other", other);
  }
};

template <class Op>
struct ScaledIndexUpdateShape {
  static std::string name() { return Op::kIndexUpdate; }
  static void call(const Tensor& target, int64_t, const Tensor& index, const Tensor& source,
                   double alpha) {
    check_target<Op>(Op::kIndexUpdate, target);
    check_alpha(Op::kIndexUpdate, target.scalar_type(), alpha);
    check_index(Op::kIndexUpdate, target, index);
    check_operand(Op::kIndexUpdate, target, "source", source);
  }
};

template <class Op>
struct IndexUpdateShape {
  static std::string name() { return Op::kIndexUpdate; }
  static void call(const Tensor& target, int64_t, const Tensor& index, const Tensor& source) {
    check_target<Op>(Op::kIndexUpdate, target);
    check_index(Op::kIndexUpdate, target, index);
    check_operand(Op::kIndexUpdate, target, "source", source);
  }
};

template <class Op>
struct IndexFetchShape {
  static std::string name() { return Op::kIndexFetch; }
  static Tensor call(const Tensor& target, int64_t, const Tensor& index, const Tensor& source) {
    check_target<Op>(Op::kIndexFetch, target);
    check_index(Op::kIndexFetch, target, index);
    check_operand(Op::kIndexFetch, target, "source", source);
    return contiguous_like(source);
  }
};

struct IndexCompareExchangeShape {
  static constexpr auto kName = CompareExchange::kIndex;
  static std::string name() { return kName; }
  static std::tuple<Tensor, Tensor> call(const Tensor& target, int64_t, const Tensor& index,
                                         const Tensor& expected, const Tensor& desired) {
    check_target<CompareExchange>(kName, target);
    check_index(kName, target, index);
    check_operand(kName, target, "expected", expected);
    check_operand(kName, target, "desired", desired);
    return {contiguous_like(desired), contiguous_like(desired, ScalarType::Bool)};
  }
};

struct CreateMutexLikeShape {
  static std::string name() { return "create_mutex.like"; }
  static Tensor call(const Tensor&, int64_t n) {
    const int64_t sizes[] = {n, 128};
    return empty(2, sizes, ScalarType::Byte, DeviceType::Meta);
  }
};

struct CreateAtomicBoolLikeShape {
  static std::string name() { return "create_atomic_bool.like"; }
  static Tensor call(const Tensor&) {
    const int64_t sizes[] = {1};
    return empty(1, sizes, ScalarType::Int, DeviceType::Meta);
  }
};

struct ConditionalSetAtomicBoolShape {
  static std::string name() { return "conditional_set_atomic_bool"; }
  static void call(const Tensor& atomic_bool, const Tensor& condition) {
    check_device("conditional_set_atomic_bool", atomic_bool, "condition", condition, "atomic_bool");
  }
};

struct CheckAtomicBoolShape {
  static std::string name() { return "check_atomic_bool"; }
  static Tensor call(const Tensor&) {
    const int64_t sizes[] = {1};
    return empty(1, sizes, ScalarType::Bool, DeviceType::Meta);
  }
};

template <class T>
struct AtomicFetchAddShape {
  static constexpr const char* kName = sizeof(T) == 4 ? "atomic_fetch_add" : "atomic_fetch_add64";
  static std::string name() { return kName; }
  static std::tuple<Tensor, Tensor> call(const Tensor& mutex, const Tensor& mut_value,
                                         const Tensor& increment) {
    check_device(kName, mutex, "mut_value", mut_value, "mutex");
    check_device(kName, mutex, "increment", increment, "mutex");
    constexpr auto kType = CppTypeToScalarType<T>::value;
    return {empty(0, nullptr, kType, DeviceType::Meta), empty(0, nullptr, kType, DeviceType::Meta)};
  }
};

struct AtomicIterShape {
  static std::string name() { return "atomic_iter"; }
  static Tensor call(const Tensor& mutex, const Tensor& iter) {
    check_device("atomic_iter", mutex, "iter", iter, "mutex");
    return contiguous_like(iter);
  }
};

template <template <class> class Shape, class... Ops>
auto shapes(TypeList<Ops...>) -> TypeList<Shape<Ops>...>;

using Shapes =
    Joined<TypeList<LoadShape, StoreShape, CompareExchangeShape, AddBelowShape, AddCheckedShape,
                    IndexCompareExchangeShape>,
           decltype(shapes<FetchShape>(FetchOps{})),
           decltype(shapes<ScaledUpdateShape>(ScaledUpdateOps{})),
           decltype(shapes<UpdateShape>(UpdateOps{})),
           decltype(shapes<ScaledIndexUpdateShape>(ScaledIndexUpdateOps{})),
           decltype(shapes<IndexUpdateShape>(IndexUpdateOps{})),
           decltype(shapes<IndexFetchShape>(IndexFetchOps{})),
           TypeList<CreateMutexLikeShape, CreateAtomicBoolLikeShape, ConditionalSetAtomicBoolShape,
                    CheckAtomicBoolShape, AtomicFetchAddShape<int32_t>,
                    AtomicFetchAddShape<int64_t>, AtomicIterShape>>;

}  // namespace

STABLE_TORCH_LIBRARY_IMPL(atomics, Meta, m) { implement(m, Shapes{}); }

}  // namespace atomics::meta
