#include "../writable.h"

namespace atomics {

// The host cannot ask about a device's memory, none of which is read-only.
std::optional<bool> ask_writable(const void*) { return std::nullopt; }

bool is_writable(const void*) { return true; }

}  // namespace atomics
