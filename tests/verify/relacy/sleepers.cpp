// Counter and AtomicBool: nobody sleeps on, and what was written before a wake-up is seen after it.
// Sleeps have no slices here, so that a lost wake-up is a deadlock.
#include "../../../csrc/sleepers.h"

#include "model.h"
// The memory of a Counter, and it as the library's code sees it.
struct Line {
  rl::atomic<int64_t> value{0};
  rl::atomic<uint64_t> awaited{0};
  rl::atomic<uint32_t> wakes{0};
};

struct Words {
  Line* line;
  bool sleeping = false;  // in the look before a sleep

  bool has_sleepers() const { return true; }
  // Without the second look, nobody has added anything yet.
  struct Value : model::Ref<int64_t> {
    bool blind;
    int64_t load() const { return blind ? 0 : model::Ref<int64_t>::load(); }
  };
  Value value() const { return {model::Ref(line->value), sleeping && model::mistakes.no_look}; }
  model::Ref<uint64_t> awaited() const { return model::Ref(line->awaited); }
  struct Wakes : model::Ref<uint32_t> {
    void fetch_add(uint32_t n) const {
      if (!model::mistakes.no_count) model::Ref<uint32_t>::fetch_add(n);
    }
  };
  Wakes wakes() const { return {model::Ref(line->wakes)}; }
  void sleep_while(uint32_t wakes) const { model::sleep_while(line->wakes, wakes); }
  void wake() const { model::wake_all(line->wakes); }
};

// As `wait` of csrc/python/common.h, without end.
void wait_until(Line& line, int64_t n) {
  while (Words{&line}.value().load() < n) atomics::sleep_below(Words{&line, true}, n);
}

// One thread adds twice; one waits for the first addition, one for the second.
struct OneAdder : rl::test_suite<OneAdder, 3> {
  Line line;
  rl::var<int> written{0};

  void thread(unsigned i) {
    if (i == 0) {
      atomics::add_and_wake(Words{&line}, 1);
      written($) = 1;
      atomics::add_and_wake(Words{&line}, 1);
    } else {
      wait_until(line, i);
      if (i == 2) RL_ASSERT(written($) == 1);
    }
  }
};

// One thread waits for what two others reach together.
struct TwoAdders : rl::test_suite<TwoAdders, 3> {
  Line line;

  void thread(unsigned i) {
    if (i == 0) return wait_until(line, 2);
    RL_ASSERT(atomics::add_and_wake(Words{&line}, 1) < 2);
  }
  void after() { RL_ASSERT(line.value.load(rl::mo_relaxed, $) == 2); }
};

// Two threads wait for what a third sets, who does it twice.
struct Flag : rl::test_suite<Flag, 3> {
  struct Word {
    rl::atomic<int32_t>* word;
    model::Ref<int32_t> flag() const { return model::Ref(*word); }
    void wake() const { model::wake_all(*word); }
  };

  rl::atomic<int32_t> word{0};
  rl::var<int> written{0};

  void thread(unsigned i) {
    if (i == 0) {
      written($) = 1;
      atomics::set_and_wake(Word{&word});
      atomics::set_and_wake(Word{&word});
    } else {
      while (Word{&word}.flag().load() == 0) model::sleep_while(word, 0);
      RL_ASSERT(written($) == 1);
    }
  }
};

int main(int, char** argv) {
  const auto preemptions = model::number(argv[1]);
  model::run_bounded<OneAdder>("sleepers", preemptions);
  model::run_bounded<TwoAdders>("adders", preemptions);
  model::run_bounded<OneAdder>("no second look", 2, {.no_look = true});
  model::run_bounded<OneAdder>("wake-ups not counted", 2, {.no_count = true});
  model::run_bounded<OneAdder>("a sleep without a comparison", 2, {.no_value = true});
  model::run_bounded<OneAdder>("acquire-release order", 2, {.weaker = true});
  model::run_bounded<OneAdder>("relaxed order", 2, {.relaxed = true});
  model::run_bounded<TwoAdders>("a read and a write for an addition", 2, {.not_one = true});
  model::run_bounded<Flag>("flag", preemptions);
  model::run_bounded<Flag>("a flag's sleep without a comparison", 2, {.no_value = true});
  model::run_bounded<Flag>("a flag of relaxed order", 2, {.relaxed = true});
}
