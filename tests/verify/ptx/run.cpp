// Runs a kernel for a test: of a text, without a library for GPUs.
#include "grid.h"

// Returns what is wrong, or null. With the turns of a seed, or in order if that is 0.
extern "C" __attribute__((visibility("default"))) const char* ptx_run(const char* text,
                                                                      const char* name,
                                                                      unsigned blocks,
                                                                      unsigned threads, void** args,
                                                                      uint64_t seed) {
  static std::string error;
  try {
    const auto kernels = ptx::parse(text);
    std::mt19937_64 random(seed);
    std::mt19937_64* const turns = seed == 0 ? nullptr : &random;
    std::vector<std::unique_ptr<ptx::Grid>> grids;
    grids.push_back(std::make_unique<ptx::Grid>(kernels.at(name), blocks, threads, args, turns));
    ptx::run(grids, turns);
    return nullptr;
  } catch (const std::exception& found) {
    error = found.what();
    return error.c_str();
  }
}
