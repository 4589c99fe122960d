// What the kernel knows of an address: which mapping it lies in. No torch header here.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace atomics::mutex {

// The memory behind an address, the same in every process that maps it.
struct Backing {
  uint32_t device;
  uint64_t inode;
  uint64_t offset;  // of the address in the file
  bool operator==(const Backing&) const = default;
};

struct Mapping {
  uintptr_t begin;
  uintptr_t end;
  bool writable;
  bool shared;
  Backing backing;  // of the address that was asked for
};

// The mapping of an address, from /proc/self/maps: some 100 microseconds, so never on a fast path.
// Nothing if there is none. Raises if the file cannot be read, as without a free file descriptor.
std::optional<Mapping> find_mapping(const char* op, const void* address);

// Maps the shared memory at [address, address + bytes) a second time, at any address; null if it is
// private. Unmapped by unmap(), with the same number of bytes.
void* map_again(const char* op, const void* address, size_t bytes);
void unmap(void* mapped, size_t bytes);

// Whether memory may be written: the kernel's answer, or what /proc/self/maps says.
bool is_writable(const char* op, const void* address);

// Copies memory that may be unmapped, by way of the kernel; false if it is.
bool read_memory(const void* from, void* to, size_t bytes);

// The inode of the calling process's pid namespace; 0 if it cannot be told.
uint32_t pid_namespace();

}  // namespace atomics::mutex
