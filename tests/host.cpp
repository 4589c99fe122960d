// A C++ program without Python: loads the library it is given and counts through the dispatcher.
#include <ATen/core/dispatch/Dispatcher.h>
#include <dlfcn.h>
#include <torch/torch.h>

#include <iostream>

int main(int, char** arguments) {
  if (!dlopen(arguments[1], RTLD_NOW)) {
    std::cerr << dlerror() << '\n';
    return 1;
  }
  const auto fetch_add = c10::Dispatcher::singleton()
                             .findSchemaOrThrow("atomics::fetch_add", "int")
                             .typed<int64_t(at::Tensor&, int64_t)>();
  at::Tensor counter = torch::zeros({1}, torch::kInt64);
  const int64_t first = fetch_add.call(counter, 5);
  const int64_t second = fetch_add.call(counter, 7);
  std::cout << first << ' ' << second << ' ' << counter.item<int64_t>() << '\n';
}
