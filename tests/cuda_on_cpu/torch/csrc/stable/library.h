// Registers the kernels of the namespace `atomics` for CUDA in another one, for the CPU.
#pragma once

#include_next <torch/csrc/stable/library.h>

#undef STABLE_TORCH_LIBRARY_IMPL
#define STABLE_TORCH_LIBRARY_IMPL(ns, key, m) \
  _STABLE_TORCH_LIBRARY_IMPL(ns##_on_cpu, CPU, m, C10_UID)

#undef STABLE_TORCH_LIBRARY
#define STABLE_TORCH_LIBRARY(ns, m) STABLE_TORCH_LIBRARY_FRAGMENT(ns##_on_cpu, m)
