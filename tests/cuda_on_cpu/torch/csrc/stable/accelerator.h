// There is no other device to go to: the one that is meant is noted.
#pragma once

#define DeviceGuard GuardOfOtherDevices
#include_next <torch/csrc/stable/accelerator.h>
#undef DeviceGuard

#include "../../../machine.h"

namespace torch::stable::accelerator {

class DeviceGuard {
 public:
  explicit DeviceGuard(int32_t index) { machine.device = index; }
};

}  // namespace torch::stable::accelerator

inline AOTITorchError aoti_torch_get_current_cuda_stream(int32_t, void** stream) {
  *stream = nullptr;
  return 0;
}
