// A step of an optimizer over lists of tensors: the parameter and its state change together, under
// the locks of the parameter's stripes.
#pragma once

#include <cmath>
#include <utility>
#include <vector>

#include "../check.h"
#include "../dispatch.h"
#include "../ops/optimizers.h"
#include "cells.h"
#include "guarded.h"
#include "plain.h"

namespace atomics::cpu {

// What is calculated with, and the type of the state: float for a bfloat16.
template <class T>
using Moment = Widened<T>;

// The tensors of one parameter.
template <size_t states>
struct Fused {
  View param;
  View grad;
  std::array<const View*, states> state;
  int64_t first;
};

// The state of a parameter has its shape; a step changes all elements or, told so, indexed rows.
void check_params(const char* op, const std::vector<Tensor>& params);
void check_state(const char* op, const Tensor& mutex, const View& param, const View& state);
void check_fused(const char* op, const Tensor& mutex, const View& param, const View& grad);
void check_steps(const char* op, const Tensor& mutex, const View& steps, size_t count);

// A list that is there for an option only.
void check_without(const char* op, const char* option, const char* name,
                   const std::vector<Tensor>& list);

// Counts a step of parameter `k`, and gives its number, from 1 on.
int64_t next_step(const View& steps, size_t k);

// One moment for each number.
template <class M, size_t>
using AlwaysMoment = M;

// Applies `step` to the elements of runs: parameters, gradients, states.
template <class T, class Step>
void step_run(const std::array<char*, Step::kStates + 2>& at,
              const std::array<int64_t, Step::kStates + 2>& bytes, int64_t n, const Step& step) {
  using M = Moment<T>;
  [&]<size_t... k>(std::index_sequence<k...>) {
    for_each_of<T, T, AlwaysMoment<M, k>...>(
        at, bytes, n, [=](T& param, T grad, auto&... state) __attribute__((always_inline)) {
          M value = widened(param);
          step(value, widened(grad), state...);
          param = narrowed<T>(value);
        });
  }(std::make_index_sequence<Step::kStates>{});
}

template <class T, class Step>
void step_stripes(mutex::Stripes& stripes, const Fused<Step::kStates>& of, const Step& step) {
  std::array<Operand, Step::kStates + 2> operands{writable(of.param), readable(of.grad)};
  for (size_t k = 0; k < Step::kStates; ++k) operands[k + 2] = writable(*of.state[k]);
  for_each_stripe(stripes, {of.param, of.first}, operands, of.param.numel,
                  [&](auto at, auto bytes, int64_t n, int64_t i) {
                    stripes.begin_step(i);
                    step_run<T>(at, bytes, n, step);
                    stripes.end_step(i);
                  });
}

// Checks all lists; the dtypes of `params` were looked at before. Then steps one parameter after
// the other, beginning with another one in each thread. make_step.template operator()<M>(number of
// the step) gives the step.
template <size_t states, class MakeStep>
void step_all(const char* op, const Tensor& mutex, const std::vector<Tensor>& params,
              const std::vector<Tensor>& grads,
              const std::array<std::pair<const char*, const std::vector<Tensor>*>, states>& state,
              const Tensor& steps, const std::vector<int64_t>& first, MakeStep&& make_step) {
  check_length(op, "params", params.size(), "grads", grads.size());
  for (const auto& [name, list] : state) {
    check_length(op, "params", params.size(), name, list->size());
  }
  check_length(op, "params", params.size(), "first", first.size());
  for (const int64_t each : first) check_first(op, each);
  const auto all_params = views("params", params);
  const auto all_grads = views("grads", grads);
  std::array<std::vector<View>, states> all_state;
  for (size_t s = 0; s < states; ++s) all_state[s] = views(state[s].first, *state[s].second);
  const View counts("steps", steps);
  for (size_t k = 0; k < params.size(); ++k) {
    check_fused(op, mutex, all_params[k], all_grads[k]);
    for (size_t s = 0; s < states; ++s) {
      const View& one = all_state[s][k];
      check_state(op, mutex, all_params[k], one);
      check_no_overlap(op, one, all_grads[k]);
      for (size_t other = 0; other < s; ++other) check_no_overlap(op, all_state[other][k], one);
    }
  }
  check_steps(op, mutex, counts, params.size());
  auto stripes = stripes_of(op, mutex);
  for (size_t k = 0; k < params.size(); ++k) {
    verify_all(stripes, {all_params[k], first[k]}, all_params[k]);
  }

  const size_t count = params.size();
  const auto start = static_cast<size_t>(mutex::start_of_thread(static_cast<int64_t>(count)));
  for (size_t turn = 0; turn < count; ++turn) {
    const size_t k = (start + turn) % count;
    Fused<states> of{all_params[k], all_grads[k], {}, first[k]};
    for (size_t s = 0; s < states; ++s) of.state[s] = &all_state[s][k];
    const int64_t number = next_step(counts, k);
    dispatch(FusedTypes{}, of.param.dtype, [&]<class T>() {
      step_stripes<T>(stripes, of, make_step.template operator()<Moment<T>>(number));
    });
  }
}

}  // namespace atomics::cpu
