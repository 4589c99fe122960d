#include "handles.h"

#include <pthread.h>
#include <sys/random.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <climits>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

#include "../check.h"
#include "../counter_line.h"
#include "../dispatch.h"
#include "../sleepers.h"
#include "futex.h"
#include "handle_slot.h"

namespace atomics::cpu {

namespace {

// A handle: the number above its slot.
constexpr int kSlotBits = 20;
constexpr uint32_t kSlotsOfChunk = 1024;
constexpr uint32_t kMostSlots = uint32_t{1} << kSlotBits;

class Word {
 public:
  uint64_t load() const { return state_.load(std::memory_order_acquire); }
  void store(uint64_t state) { state_.store(state, std::memory_order_release); }
  uint64_t fetch_sub(uint64_t n) { return state_.fetch_sub(n, std::memory_order_acq_rel); }
  bool compare_exchange_weak(uint64_t& expected, uint64_t desired) {
    return state_.compare_exchange_weak(expected, desired, std::memory_order_acq_rel,
                                        std::memory_order_acquire);
  }

 private:
  std::atomic<uint64_t> state_ = 0;
};

struct Slot {
  Word word;
  std::unique_ptr<Registered> registered;
};

using Chunk = std::array<Slot, kSlotsOfChunk>;

// Chunks stay where they are, so that ops find a slot without a lock.
struct Registry {
  std::array<std::atomic<Chunk*>, kMostSlots / kSlotsOfChunk> chunks{};
  std::mutex mutex;  // of what follows
  std::vector<uint32_t> free;
  uint32_t count = 0;  // of slots that were ever used
};

// Never destroyed: Python may end after static objects.
Registry& registry() {
  static Registry& the = *std::make_unique<Registry>().release();
  return the;
}

void lock() { registry().mutex.lock(); }
void unlock() { registry().mutex.unlock(); }

// A child has the tensors of its parent, and its own copy of the registry.
[[maybe_unused]] const int forks = pthread_atfork(lock, unlock, unlock);

Slot* find(uint32_t slot) {
  Chunk* const chunk = registry().chunks[slot / kSlotsOfChunk].load(std::memory_order_acquire);
  return chunk == nullptr ? nullptr : &(*chunk)[slot % kSlotsOfChunk];
}

uint32_t take_slot(const char* op) {
  Registry& all = registry();
  const std::lock_guard guard(all.mutex);
  if (!all.free.empty()) {
    const uint32_t slot = all.free.back();
    all.free.pop_back();
    return slot;
  }
  if (all.count == kMostSlots) {
    fail(op, "handles", "be at most " + std::to_string(kMostSlots) + " in a process (release some)",
         "one more");
  }
  if (all.count % kSlotsOfChunk == 0) {
    all.chunks[all.count / kSlotsOfChunk].store(std::make_unique<Chunk>().release(),
                                                std::memory_order_release);
  }
  return all.count++;
}

// By the one who has to, see handle_slot.h.
void empty_slot(uint32_t at) {
  find(at)->registered.reset();
  Registry& all = registry();
  const std::lock_guard guard(all.mutex);
  all.free.push_back(at);
}

uint64_t new_number(const char* op) {
  uint64_t random = 0;
  if (getrandom(&random, sizeof(random), 0) != sizeof(random)) {
    fail(op, "getrandom", "give 8 bytes", std::strerror(errno));
  }
  return random >> kNumberShift;
}

int64_t value_of(const char* op, const Tensor& handle) {
  const View view("handle", handle);
  check_dtype(op, view, TypeList<int64_t>{});
  check_one_element(op, view);
  check_memory(op, view);
  // Compiled code writes it back, unchanged.
  return __atomic_load_n(static_cast<const int64_t*>(view.data), __ATOMIC_RELAXED);
}

struct Name {
  explicit Name(int64_t value)
      : number(static_cast<uint64_t>(value) >> kSlotBits),
        slot(static_cast<uint32_t>(static_cast<uint64_t>(value) % kMostSlots)) {}

  uint64_t number;
  uint32_t slot;
};

// Whether the handle named something.
bool release(Name name) {
  Slot* const slot = find(name.slot);
  const Closed closed = slot == nullptr ? Closed::kBefore : close(slot->word, name.number);
  if (closed == Closed::kEmpty) empty_slot(name.slot);
  return closed != Closed::kBefore;
}

[[noreturn]] void fail_unknown(const char* op) {
  fail(op, "handle", "name a tensor that is registered in this process",
       "one that was released (with its object, perhaps), or of another process or none");
}

}  // namespace

Tensor make_handle(const char* op, Registered&& registered) {
  const uint64_t number = new_number(op);
  Tensor handle = empty(0, nullptr, ScalarType::Long, DeviceType::CPU);
  auto filling = std::make_unique<Registered>(std::move(registered));
  const uint32_t at = take_slot(op);
  Slot& slot = *find(at);
  slot.registered = std::move(filling);
  open(slot.word, number);
  *static_cast<int64_t*>(handle.mutable_data_ptr()) =
      static_cast<int64_t>(number << kSlotBits | at);
  return handle;
}

void release_handle(const char* op, const Tensor& handle) {
  if (!release(Name(value_of(op, handle)))) fail_unknown(op);
}

HandleUse::HandleUse(const char* op, const Tensor& handle) {
  const Name name(value_of(op, handle));
  Slot* const slot = find(name.slot);
  if (slot == nullptr || !enter(slot->word, name.number)) fail_unknown(op);
  slot_ = name.slot;
  registered_ = slot->registered.get();
  if (registered_->target.const_data_ptr() != registered_->address) {
    if (leave(slot->word)) empty_slot(slot_);
    fail(op, "handle", "name a tensor that stays where it was registered",
         "one that was moved (share_memory_, set_, .data = or resize_)");
  }
}

HandleUse::~HandleUse() {
  if (leave(find(slot_)->word)) empty_slot(slot_);
}

void HandleUse::wake() const {
  auto* const address = registered_->target.mutable_data_ptr();
  if (registered_->sleepers == kOfCounter) {
    struct Words : CounterLine {
      void wake() const { futex::wake("wake", slept_on(), INT_MAX); }
    };
    const Words line{{static_cast<int64_t*>(address)}};
    wake_who_waits(line, line.value().load());
  } else if (registered_->sleepers == kOfFlag) {
    // They sleep while it is false. The kernel's view of an int32.
    auto* const word = static_cast<uint32_t*>(address);
    if (__atomic_load_n(word, __ATOMIC_SEQ_CST) != 0) futex::wake("wake", word, INT_MAX);
  }
}

}  // namespace atomics::cpu

void atomics_release_handle(int64_t handle) { atomics::cpu::release(atomics::cpu::Name(handle)); }
