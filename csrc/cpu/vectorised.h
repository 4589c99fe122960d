// Runs a plain loop with the machine's wider vectors, where it has them. No torch header here.
#pragma once

namespace atomics::cpu {

#ifdef __x86_64__

inline bool has_wide_vectors() {
  static const bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c");
  return has;
}

template <class Loop>
[[gnu::noinline]] __attribute__((target("avx2,f16c"))) void with_wide_vectors(const Loop& loop) {
  // A copy, whose numbers stores of the loop cannot change.
  const Loop own = loop;
  own();
}

// The loop has to be always_inline, and all that it calls inlined: it is compiled once for the
// baseline and once for AVX2. (target_clones does the same, but not to templates under clang.)
template <class Loop>
void vectorised(const Loop& loop) {
  if (has_wide_vectors()) return with_wide_vectors(loop);
  const Loop own = loop;
  own();
}

#else

template <class Loop>
void vectorised(const Loop& loop) {
  const Loop own = loop;
  own();
}

#endif

}  // namespace atomics::cpu
