// Serves a TorchScript classifier from several threads and counts its requests by name.
// serve LIBRARY MODEL IMAGES NAME REQUESTS: exits with 1 unless Counter(name=NAME) counted each of
// the requests, so nobody else may count there meanwhile. At the end it sets the flag
// AtomicBool(name=NAME.stop).
#include <ATen/Parallel.h>
#include <dlfcn.h>
#include <torch/csrc/jit/serialization/pickle.h>
#include <torch/script.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <iostream>
#include <iterator>
#include <latch>
#include <stdexcept>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "../../csrc/shared_file.h"

namespace {

constexpr int64_t kThreads = 4;

// The memory of a named object, made if there is none: as in Python's Counter(name=name).
void* attach(const std::string& name, AtomicsKind kind) {
  const std::string path = "/dev/shm/caffe2op_atomics." + std::to_string(geteuid()) + "." + name;
  for (;;) {
    if (void* const memory = atomics_map(path.c_str(), kind)) return memory;
    if (errno != ENOENT || (atomics_create(path.c_str(), kind) != 0 && errno != EEXIST)) {
      throw std::system_error(errno, std::generic_category(), path);
    }
  }
}

// What torch.save wrote.
c10::IValue read(const char* path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error(std::string("cannot open ") + path);
  return torch::jit::pickle_load({std::istreambuf_iterator<char>(file), {}});
}

struct Images {
  at::Tensor pixels, labels;

  // Asks for one image at a time; returns how often the answer was right.
  int64_t ask(torch::jit::Module& model, int64_t requests) const {
    const c10::InferenceMode inference;
    int64_t right = 0;
    for (int64_t i = 0; i < requests; ++i) {
      const int64_t image = i % pixels.size(0);
      const at::Tensor digit = model.forward({pixels.narrow(0, image, 1)}).toTensor();
      right += digit.item<int64_t>() == labels.const_data_ptr<int64_t>()[image];
    }
    return right;
  }
};

int64_t serve(torch::jit::Module& model, const Images& images, int64_t requests) {
  std::atomic<int64_t> right = 0;
  std::latch start(kThreads);
  std::vector<std::jthread> threads;
  for (int64_t i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, share = (requests + i) / kThreads] {
      start.arrive_and_wait();
      right += images.ask(model, share);
    });
  }
  threads.clear();  // joins
  return right;
}

int run(char** arguments) {
  // First: a model with operators that nobody registered does not load.
  if (!dlopen(arguments[1], RTLD_NOW)) throw std::runtime_error(dlerror());
  torch::jit::Module model = torch::jit::load(arguments[2]);
  const auto samples = read(arguments[3]).toTuple();
  const Images images{samples->elements()[0].toTensor(), samples->elements()[1].toTensor()};
  const std::string name = arguments[4];
  const int64_t requests = std::stoll(arguments[5]);
  at::set_num_threads(1);  // a request is served by its thread alone

  // The load made a private count. From here on the model counts in the file.
  const at::Tensor count = torch::from_blob(attach(name, kAtomicsCounter), {1}, torch::kInt64);
  model.setattr("requests", count);

  const int64_t before = count.item<int64_t>();
  const auto began = std::chrono::steady_clock::now();
  const int64_t right = serve(model, images, requests);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - began;
  const int64_t counted = count.item<int64_t>() - before;
  std::atomic_ref(*static_cast<int32_t*>(attach(name + ".stop", kAtomicsBool))).store(1);

  std::cout << kThreads << " threads served " << requests << " requests, "
            << static_cast<int64_t>(static_cast<double>(requests) / seconds.count())
            << " per second, " << 100 * right / requests << "% of them right\n"
            << "counted " << counted << ", lost " << requests - counted << std::endl;
  return counted == requests ? 0 : 1;
}

}  // namespace

int main(int count, char** arguments) {
  try {
    if (count != 6) throw std::invalid_argument("usage: serve LIBRARY MODEL IMAGES NAME REQUESTS");
    return run(arguments);
  } catch (const std::exception& error) {
    std::cerr << "serve: " << error.what() << '\n';
    return 2;
  }
}
