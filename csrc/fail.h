// The form of every error: "<op>: <argument> must <rule>, got <actual>". No torch header here.
#pragma once

#include <string>

namespace atomics {

[[noreturn]] void fail(const char* op, const std::string& argument, const std::string& rule,
                       const std::string& actual);

}  // namespace atomics
