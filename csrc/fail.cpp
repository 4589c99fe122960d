#include "fail.h"

#include <stdexcept>

namespace atomics {

void fail(const char* op, const std::string& argument, const std::string& rule,
          const std::string& actual) {
  throw std::runtime_error(std::string(op) + ": " + argument + " must " + rule + ", got " + actual);
}

}  // namespace atomics
