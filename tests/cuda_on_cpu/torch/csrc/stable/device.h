// Has a tensor be on another device, as a test says.
#pragma once

#include_next <torch/csrc/stable/device.h>

#include <torch/csrc/stable/c/shim.h>

#include "../../../machine.h"

inline AOTITorchError device_index_of(AtenTensorHandle tensor, int32_t* index) {
  const void* data = nullptr;
  const AOTITorchError error = torch_get_const_data_ptr(tensor, &data);
  *index = data != nullptr && data == machine.on_peer ? 0 : -1;
  return error;
}
#define aoti_torch_get_device_index device_index_of
