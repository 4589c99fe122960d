// What the programs of this folder share: atomics and a futex of Relacy's with the faces that the
// library's code expects, the mistakes that have to be found, and the runs.
#pragma once

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <ostream>
#include <relacy/relacy.hpp>

namespace model {

inline rl::memory_order order_of(std::memory_order order) {
  switch (order) {
    case std::memory_order::relaxed:
      return rl::mo_relaxed;
    case std::memory_order::consume:
    case std::memory_order::acquire:
      return rl::mo_acquire;
    case std::memory_order::release:
      return rl::mo_release;
    case std::memory_order::acq_rel:
      return rl::mo_acq_rel;
    default:
      return rl::mo_seq_cst;
  }
}

// What is wrong in a run, if anything.
struct Mistakes {
  bool relaxed = false;   // every access is, whatever the library asks for
  bool weaker = false;    // none is sequentially consistent
  bool not_one = false;   // a read-modify-write is a read and a write
  bool stale = false;     // what is written is not calculated again
  bool no_look = false;   // no second look before a sleep
  bool no_value = false;  // a sleep begins whatever the word holds
  bool no_count = false;  // wake-ups are not counted
  bool no_fence = false;  // none after the last look
  bool early = false;     // a wake-up comes before the change
};

inline Mistakes mistakes;

// As std::atomic_ref, of a cell of the model.
template <class T>
class Ref {
 public:
  static constexpr bool is_always_lock_free = true;
  static constexpr size_t required_alignment = sizeof(T);
  static constexpr auto kDefault = std::memory_order::seq_cst;
  using Order = std::memory_order;

  explicit Ref(rl::atomic<T>& cell) : cell_(&cell) {}

  T load(Order order = kDefault) const {
    return cell_->load(mapped(order, std::memory_order::acquire), $);
  }
  void store(T value, Order order = kDefault) const {
    cell_->store(value, mapped(order, std::memory_order::release), $);
  }
  T exchange(T value, Order order = kDefault) const {
    if (mistakes.not_one) return replaced(value);
    return cell_->exchange(value, mapped(order), $);
  }
  T fetch_add(T value, Order order = kDefault) const {
    if (mistakes.not_one) return replaced(load() + value);
    return cell_->fetch_add(value, mapped(order), $);
  }
  bool compare_exchange_weak(T& expected, T desired, Order order = kDefault) const {
    return compare_exchange_weak(expected, desired, order, order);
  }
  bool compare_exchange_weak(T& expected, T desired, Order order, Order failed) const {
    if (mistakes.not_one) {
      const T held = load();
      if (held == expected) return store(desired), true;
      return expected = held, false;
    }
    return cell_->compare_exchange(rl::bool_t<true>(), expected, desired, mapped(order),
                                   mapped(failed, std::memory_order::acquire), $);
  }

 private:
  static rl::memory_order mapped(Order order, Order weaker = std::memory_order::acq_rel) {
    if (mistakes.relaxed) return rl::mo_relaxed;
    return order_of(mistakes.weaker && order == kDefault ? weaker : order);
  }
  T replaced(T value) const {
    const T old = load();
    store(value);
    return old;
  }

  rl::atomic<T>* cell_;
};

// The futex system calls: a comparison and the beginning of a sleep are one step, and each call is
// a full barrier. Sleeps end by wake-ups only, which is when one that is lost shows.
template <class T>
void sleep_while(rl::atomic<T>& word, T value, T looked_at = ~T{0}) {
  rl::context& context = rl::ctx();
  context.sched();
  context.atomic_thread_fence_seq_cst();
  T held;
  {
    rl::preemption_disabler one_step(context);
    held = word.load(rl::mo_relaxed, $);
  }
  if ((held & looked_at) == value || mistakes.no_value) {
    word.wait(context, /*is_timed=*/false, /*allow_spurious_wakeup=*/false, $);
  }
}

template <class T>
void wake_all(rl::atomic<T>& word) {
  rl::context& context = rl::ctx();
  context.sched();
  context.atomic_thread_fence_seq_cst();
  word.wake(context, 100, $);
}

// Runs a test through all interleavings, or those with at most so many preemptions: prints a line
// with the name, how many they were and what was found.
template <class Test, class Scheduler>
void run(const char* name, Mistakes mistaken, rl::scheduler_type_e type, unsigned preemptions) {
  mistakes = mistaken;
  std::ostream nowhere(nullptr);
  rl::ostringstream state;
  rl::test_params params;
  params.output_stream = &nowhere;
  params.progress_stream = &nowhere;
  params.search_type = type;  // looked at beside Scheduler
  params.context_bound = preemptions;
  const auto found = rl::run_test<Test, Scheduler>(params, state, /*second=*/false);
  std::printf("%s\t%llu\t%s\n", name, static_cast<unsigned long long>(params.stop_iteration),
              rl::test_result_str(found));
  std::fflush(stdout);
}

inline unsigned number(const char* text) { return static_cast<unsigned>(std::atoi(text)); }

template <class Test>
void run_all(const char* name, Mistakes mistaken = {}) {
  run<Test, rl::full_search_scheduler<Test::params::thread_count>>(
      name, mistaken, rl::fair_full_search_scheduler_type, 0);
}

template <class Test>
void run_bounded(const char* name, unsigned preemptions, Mistakes mistaken = {}) {
  run<Test, rl::context_bound_scheduler<Test::params::thread_count>>(
      name, mistaken, rl::fair_context_bound_scheduler_type, preemptions);
}

}  // namespace model
