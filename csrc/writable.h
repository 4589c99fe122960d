// Whether memory may be written, before an update finds out by a crash. No torch header here.
#pragma once

#include <optional>

namespace atomics {

// Asks the kernel, and changes nothing; nothing if it does not say.
std::optional<bool> ask_writable(const void* address);

// The same, true if the kernel does not say; a thread asks once for a page. What is unmapped and
// mapped again read-only at the same address is not seen.
bool is_writable(const void* address);

}  // namespace atomics
