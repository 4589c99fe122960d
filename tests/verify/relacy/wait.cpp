// The op `wait`, with `notify` after a change: nobody sleeps on, and what was written before the
// change is seen after it. Sleeps have no slices here, so that a lost wake-up is a deadlock.
#include "../../../csrc/cpu/wait_loop.h"

#include "model.h"

struct Forever {
  bool passed() const { return false; }
  int slice() const { return 0; }
};

// Of an int32, or of an int64 as two halves of 16 bits: the kernel sleeps on the first, and
// compares them one after the other.
struct Words {
  rl::atomic<uint32_t>* word;
  bool halves;

  void sleep(int) const { model::sleep_while(*word, 0u, halves ? 0xffffu : 0xffffffffu); }
  bool changed() const {
    if (!halves) return word->load(rl::mo_relaxed, $) != 0;
    return (word->load(rl::mo_relaxed, $) & 0xffff) != 0 ||
           word->load(rl::mo_relaxed, $) >> 16 != 0;
  }
  void fence() const {
    if (!model::mistakes.no_fence) rl::atomic_thread_fence(rl::mo_seq_cst, $);
  }
};

// Two threads wait until the target is no longer 0.
template <bool kHalves, uint32_t kChanged>
struct Changed : rl::test_suite<Changed<kHalves, kChanged>, 3> {
  rl::atomic<uint32_t> word{0};
  rl::var<int> written{0};

  void thread(unsigned i) {
    const model::Ref target(word);
    if (i == 0) {
      written($) = 1;
      if (model::mistakes.early) model::wake_all(word);
      target.store(kChanged);
      if (!model::mistakes.early) model::wake_all(word);
    } else {
      if (target.load() == 0) {
        atomics::cpu::sleep_until_changed(Words{&word, kHalves}, Forever{});
      }
      RL_ASSERT(written($) == 1);
    }
  }
};

using Int32 = Changed<false, 1>;
using Int64 = Changed<true, 0x20001>;
using HighWord = Changed<true, 0x20000>;

int main(int, char** argv) {
  const auto preemptions = model::number(argv[1]);
  model::run_bounded<Int32>("wait", preemptions);
  model::run_bounded<Int64>("wait for an int64", preemptions);
  model::run_bounded<Int32>("no fence after the last look", 2, {.no_fence = true});
  model::run_bounded<Int32>("a sleep without a comparison", 2, {.no_value = true});
  model::run_bounded<Int32>("notified before the change", 2, {.early = true});
  model::run_bounded<HighWord>("high word", 2);
}
