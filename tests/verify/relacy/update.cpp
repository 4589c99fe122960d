// Updates by compare-and-swap: none is lost, each sees one value, and what was written before one
// is seen by who sees it.
#include "../../../csrc/cas_loop.h"
#include "../../../csrc/cpu/ref.h"
#include "../../../csrc/ops/bounded.h"
#include "../../../csrc/ops/order.h"
#include "model.h"

using atomics::cpu::Bulk;
using atomics::cpu::Ref;
using atomics::cpu::Single;

template <class Order>
using Cell = Ref<uint32_t, Order, model::Ref<uint32_t>>;

// Three threads multiply by 2, 3 and 5, and add 1 to another cell where the sum is at most 2.
template <class Order>
struct Updates : rl::test_suite<Updates<Order>, 3> {
  rl::atomic<uint32_t> product{1};
  rl::atomic<uint32_t> count{0};
  uint32_t olds[3];
  bool added[3];

  void thread(unsigned i) {
    const uint32_t factors[] = {2, 3, 5};
    olds[i] =
        Cell<Order>(&product).fetch_update([&](uint32_t before) { return before * factors[i]; });
    uint32_t old = 0;
    added[i] = atomics::AddBelow::apply(Cell<Order>(&count), 1u, 2u, old);
  }
  void after() {
    RL_ASSERT(product.load(rl::mo_relaxed, $) == 30);
    RL_ASSERT(olds[0] != olds[1] && olds[1] != olds[2] && olds[0] != olds[2]);
    RL_ASSERT(count.load(rl::mo_relaxed, $) == 2);
    RL_ASSERT(added[0] + added[1] + added[2] == 2);
  }
};

// One thread writes and raises the cell, by an op of the library; the other reads after it sees
// that, by another op.
template <class Order>
struct Message : rl::test_suite<Message<Order>, 2> {
  rl::atomic<uint32_t> cell{0};
  rl::var<int> message{0};

  void thread(unsigned i) {
    const Cell<Order> mine(&cell);
    if (i == 0) {
      message($) = 1;
      atomics::Max::apply(mine, 7u);
    } else if (mine.load() == 7) {
      RL_ASSERT(message($) == 1);
    }
  }
};

// A word of two cells of 8 bits. Its halves are loaded one after the other, as load_block may do;
// three threads add to both.
struct Word : rl::test_suite<Word, 3> {
  rl::atomic<uint32_t> word{0};

  uint32_t load_block() {
    const uint32_t low = word.load(rl::mo_relaxed, $) & 0xff;
    return low | (word.load(rl::mo_relaxed, $) & 0xff00);
  }
  void thread(unsigned i) {
    const uint32_t other = 0x0101u << i;
    uint32_t before = load_block();
    uint32_t after = before + other;
    atomics::update_from(
        before, after, [&](uint32_t now) { return model::mistakes.stale ? after : now + other; },
        [&](uint32_t& expected, uint32_t desired) {
          uint32_t copy = expected;
          if (model::Ref<uint32_t>(word).compare_exchange_weak(copy, desired)) return true;
          expected = load_block();
          return false;
        });
  }
  void after() { RL_ASSERT(word.load(rl::mo_relaxed, $) == 0x0707); }
};

int main(int, char** argv) {
  const auto preemptions = model::number(argv[1]);
  model::run_bounded<Updates<Bulk>>("updates", preemptions);
  model::run_bounded<Updates<Bulk>>("a read and a write for an update", 2, {.not_one = true});
  model::run_all<Message<Bulk>>("message");
  model::run_all<Message<Bulk>>("relaxed order", {.relaxed = true});
  model::run_bounded<Word>("word", preemptions);
  model::run_bounded<Word>("a read and a write for a swap", 2, {.not_one = true});
  model::run_bounded<Word>("not calculated again", 2, {.stale = true});
}
