// A program without torch that counts in a named Counter beside Python: shared_file.h in use.
// named_count COUNTER_PATH FLAG_PATH N: says "ready", waits for the flag, adds 1 N times.
#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "../csrc/shared_file.h"

namespace {

void* open_or_exit(const char* path, AtomicsKind kind) {
  for (;;) {
    if (void* const memory = atomics_map(path, kind)) return memory;
    if (errno != ENOENT || (atomics_create(path, kind) != 0 && errno != EEXIST)) {
      std::perror(path);
      std::exit(1);
    }
  }
}

}  // namespace

int main(int, char** arguments) {
  void* const counter = open_or_exit(arguments[1], kAtomicsCounter);
  void* const flag = open_or_exit(arguments[2], kAtomicsBool);
  const std::atomic_ref<int64_t> value(*static_cast<int64_t*>(counter));
  const std::atomic_ref<int32_t> started(*static_cast<int32_t*>(flag));
  std::puts("ready");
  std::fflush(stdout);
  while (started.load() == 0) {
  }
  for (int64_t left = std::atoll(arguments[3]); left > 0; --left) value.fetch_add(1);
  return 0;
}
