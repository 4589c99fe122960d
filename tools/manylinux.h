// Before everything else in what `make wheel` compiles: the headers of a new libstdc++ use what
// manylinux_2_28 does not have. What this leaves out, the linker or auditwheel finds.
#pragma once

// Of glibc 2.32. Never true, as in a program with threads.
#include <sys/single_threaded.h>
constexpr bool manylinux_single_threaded = false;
#define __libc_single_threaded manylinux_single_threaded

// Of GCC 11. What is thrown instead is its base class.
#define __throw_bad_array_new_length __throw_bad_alloc

// Of GCC 9 and 11. String streams are instantiated here, but nothing that they stand on: a second
// copy of a locale's facets would have other ids.
#include <istream>
#undef _GLIBCXX_EXTERN_TEMPLATE
#define _GLIBCXX_EXTERN_TEMPLATE 0
#include <sstream>
#undef _GLIBCXX_EXTERN_TEMPLATE
#define _GLIBCXX_EXTERN_TEMPLATE 1
