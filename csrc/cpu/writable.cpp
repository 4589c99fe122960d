#include "../writable.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdint>

namespace atomics {

std::optional<bool> ask_writable(const void* address) {
  // A futex is 4 bytes; those around the address lie in its page. As a number for the kernel.
  const auto word = reinterpret_cast<uintptr_t>(address) & ~uintptr_t{3};
  // The kernel adds 0 to the word, atomically. As of a private futex, for which it does not look up
  // the page, which not every device has.
  uint32_t nobody = 0;
  const int add_nothing = FUTEX_OP(FUTEX_OP_ADD, 0, FUTEX_OP_CMP_LT, 0);
  if (syscall(SYS_futex, &nobody, FUTEX_WAKE_OP_PRIVATE, 0, 0L, word, add_nothing) >= 0)
    return true;
  if (errno == EFAULT) return false;
  return std::nullopt;  // no such futex here
}

bool is_writable(const void* address) {
  constexpr uintptr_t kPage = 4096;
  constexpr size_t kKept = 256;
  thread_local std::array<uintptr_t, kKept> known{};
  const uintptr_t page = reinterpret_cast<uintptr_t>(address) / kPage;
  uintptr_t& slot = known[page % kKept];
  if (slot == page) return true;
  if (!ask_writable(address).value_or(true)) return false;
  slot = page;
  return true;
}

}  // namespace atomics
