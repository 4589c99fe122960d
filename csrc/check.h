// Every rule on tensor arguments and its text, once. All of them raise before a kernel touches
// memory, in the order device, dtype, shape, layout.
#pragma once

#include <initializer_list>
#include <optional>
#include <string>
#include <vector>

#include "fail.h"
#include "view.h"

namespace atomics {

// `other` is on the device of `target`. For all backends but the CPU's, which torch calls when
// every argument is there: it dispatches a call with mixed devices to the other one.
void check_device(const char* op, const Tensor& target, const char* name, const Tensor& other,
                  const char* like = "target");

void check_same_dtype(const char* op, ScalarType target, const char* name, ScalarType other,
                      const char* like = "target");

// A create op asks for no device or for the CPU: locks and flags live nowhere else.
void check_cpu(const char* op, const std::optional<Device>& device);

void check_broadcast(const char* op, const View& target, const View& other);
void check_same_shape(const char* op, const View& view, const View& other);
void check_one_element(const char* op, const View& view);

// Lists that belong together are of one length.
void check_length(const char* op, const char* like, size_t expected, const char* name,
                  size_t actual);

// One of `others` for a handle and for each of `more`. An op counts as a user of each of its
// handles, and there is room for so many.
void check_handles(const char* op, const std::vector<Tensor>& more,
                   const std::vector<Tensor>& others);

// `other`, the caller's number, survives the trip into T.
template <class T>
void check_fits(const char* op, const char* name, int64_t other);

// For an integer target alpha is whole, fits, and is exact as a double; a floating one takes any.
void check_alpha(const char* op, ScalarType target, double alpha);

// Stochastic rounding is for the dtypes whose updates get lost without it.
void check_seed(const char* op, ScalarType target, const std::optional<int64_t>& seed);

// index_*: dim is 0, `index` has one dimension, a source one row of target's for each index.
void check_indexed_shapes(const char* op, const View& target, int64_t dim, const View& index,
                          std::initializer_list<View> sources);

// All that rows of a target need, in order, but for the numbers in `index`.
void check_indexed(const char* op, const View& target, int64_t dim, const View& index,
                   std::initializer_list<View> sources);

// The memory is there (a storage can be resized under its tensors), and a cell starts at a multiple
// of its size (an unaligned one would tear).
void check_memory(const char* op, const View& view);

// What is written has a memory location of its own for each index, in memory that may be written.
void check_written(const char* op, const View& view);
void check_no_overlap(const char* op, const View& target, const View& other);

// All of the above that a target with broadcasting operands of its dtype needs, in order.
void check_elementwise(const char* op, const View& target, std::initializer_list<View> others);

// For tests: is told of each tensor argument whose memory an op is about to touch.
using Told = void(const char* op, const char* argument, const void* address);

}  // namespace atomics

extern "C" __attribute__((visibility("default"))) void atomics_tell_memory(atomics::Told* told);
