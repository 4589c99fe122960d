// The loop of `wait`: sleep, look, again. The words are those of this machine, or of a model, in
// which tests/verify/relacy looks for a wake-up that is lost. No include.
#pragma once

namespace atomics::cpu {

// Whether the words changed from what is waited on before the deadline.
template <class Words, class Deadline>
bool sleep_until_changed(const Words& words, const Deadline& deadline) {
  while (!deadline.passed()) {
    words.sleep(deadline.slice());
    if (words.changed()) {
      // Looking orders nothing; what was written before the change is to be seen.
      words.fence();
      return true;
    }
  }
  return false;
}

}  // namespace atomics::cpu
