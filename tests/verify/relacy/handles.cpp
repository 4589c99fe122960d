// A slot of the registry of handles: what a thread uses stays until it has left, one thread empties
// the slot, and who comes with the number of before does not enter what is there now.
#include "../../../csrc/cpu/handle_slot.h"

#include "model.h"

namespace slot = atomics::cpu;

// As the word of csrc/cpu/handles.cpp.
struct Word {
  rl::atomic<uint64_t>& state;

  uint64_t load() const { return model::Ref(state).load(std::memory_order::acquire); }
  void store(uint64_t value) const { model::Ref(state).store(value, std::memory_order::release); }
  uint64_t fetch_sub(uint64_t n) const {
    return model::Ref(state).fetch_add(-n, std::memory_order::acq_rel);
  }
  bool compare_exchange_weak(uint64_t& expected, uint64_t desired) const {
    return model::Ref(state).compare_exchange_weak(expected, desired, std::memory_order::acq_rel,
                                                   std::memory_order::acquire);
  }
};

// Thread 0 closes the slot and the others use it; who empties it opens it again for another.
struct Handles : rl::test_suite<Handles, 3> {
  static constexpr uint64_t kFirst = 7;
  static constexpr uint64_t kNext = 9;

  rl::atomic<uint64_t> state;
  rl::var<uint64_t> content;
  rl::atomic<int> emptied;

  void before() {
    state($) = 0;
    emptied($) = 0;
    content($) = kFirst;
    Word word{state};
    slot::open(word, kFirst);
  }

  void empty() {
    RL_ASSERT(emptied.fetch_add(1, rl::mo_relaxed, $) == 0);
    content($) = 0;
    content($) = kNext;
    Word word{state};
    slot::open(word, model::mistakes.stale ? kFirst : kNext);
  }

  void use(uint64_t number) {
    Word word{state};
    if (!slot::enter(word, number)) return;
    RL_ASSERT(content($) == number);
    if (slot::leave(word)) empty();
  }

  void thread(unsigned index) {
    Word word{state};
    if (index > 0) {
      use(kFirst);
      if (index == 1) use(kNext);
      return;
    }
    const auto closed = slot::close(word, kFirst);
    RL_ASSERT(closed != slot::Closed::kBefore);
    if (closed == slot::Closed::kEmpty || model::mistakes.early) empty();
    RL_ASSERT(slot::close(word, kFirst) == slot::Closed::kBefore);
  }

  void after() { RL_ASSERT(emptied($) == 1); }
};

int main(int, char** argv) {
  const unsigned preemptions = model::number(argv[1]);
  model::run_bounded<Handles>("handles", preemptions);
  model::run_bounded<Handles>("emptied before all have left", preemptions, {.early = true});
  model::run_bounded<Handles>("the number of before", preemptions, {.stale = true});
  model::run_bounded<Handles>("a read and a write for a swap", preemptions, {.not_one = true});
  model::run_bounded<Handles>("relaxed order", preemptions, {.relaxed = true});
}
