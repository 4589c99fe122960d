// What tests say of the machine, and what they read of it. As Machine in emulation.py.
#pragma once

#include <cstdint>

struct Machine {
  int64_t touched[2];   // how often a cell was, by scope
  const void* on_peer;  // the memory of a tensor that is on another device
  int peer_access;      // whether that device has it
  int peer_atomics;
  int peer_asked;        // how often
  int device;            // of the last launch
  int memory;            // all that there is, a cudaMemoryType
  int attribute;         // which one the device has, in the order of toolkit/cuda_runtime.h
  int device_of_memory;  // -1 of its own
  int captures;          // whether streams are captured into a graph
  int no_access;         // of our device to memory of others
  int old_driver;
  unsigned capabilities[9];  // of every link, by cudaAtomicOperation
};
extern "C" __attribute__((visibility("default"))) Machine machine;
