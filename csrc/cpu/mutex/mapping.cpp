#include "mapping.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include "../../fail.h"
#include "../../writable.h"

namespace atomics::mutex {

std::optional<Mapping> find_mapping(const char* op, const void* pointer) {
  const auto address = reinterpret_cast<uintptr_t>(pointer);  // the file speaks of numbers
  std::ifstream maps("/proc/self/maps");
  if (!maps) fail(op, "system", "let /proc/self/maps be read", std::strerror(errno));
  for (std::string line; std::getline(maps, line);) {
    Mapping mapping{};
    const char* const last = line.data() + line.size();
    auto at = std::from_chars(line.data(), last, mapping.begin, 16).ptr;
    if (at == last || address < mapping.begin) continue;
    std::from_chars(at + 1, last, mapping.end, 16);
    if (address >= mapping.end) continue;

    char permissions[5];
    uint64_t offset = 0;
    unsigned major = 0;
    unsigned minor = 0;
    uint64_t inode = 0;
    if (std::sscanf(line.c_str(), "%*s %4s %" SCNx64 " %x:%x %" SCNu64, permissions, &offset,
                    &major, &minor, &inode) != 5) {
      return std::nullopt;
    }
    mapping.writable = permissions[1] == 'w';
    mapping.shared = permissions[3] == 's';
    mapping.backing = {major << 20 | minor, inode, offset + (address - mapping.begin)};
    return mapping;
  }
  return std::nullopt;
}

namespace {

struct Pages {
  uintptr_t begin;
  size_t bytes;
};

// The whole pages that the memory touches, as numbers for the kernel.
Pages pages_of(const void* address, size_t bytes) {
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  const auto first = reinterpret_cast<uintptr_t>(address);
  const uintptr_t begin = first / page * page;
  return {begin, (first + bytes - begin + page - 1) / page * page};
}

}  // namespace

void* map_again(const char* op, const void* address, size_t bytes) {
  const Pages pages = pages_of(address, bytes);
  // Old size 0 asks for a second mapping of the same shared memory. The address is the caller's
  // page, given to the kernel and not dereferenced.
  void* const mapped = mremap(reinterpret_cast<void*>(pages.begin), 0, pages.bytes, MREMAP_MAYMOVE);
  if (mapped == MAP_FAILED && errno == EINVAL) return nullptr;  // private memory
  if (mapped == MAP_FAILED) fail(op, "system", "map the memory again", std::strerror(errno));
  // At the same distance from a page start as the caller's.
  return static_cast<char*>(mapped) + (reinterpret_cast<uintptr_t>(address) - pages.begin);
}

void unmap(void* mapped, size_t bytes) {
  const Pages pages = pages_of(mapped, bytes);
  munmap(reinterpret_cast<void*>(pages.begin), pages.bytes);  // what map_again was given
}

bool is_writable(const char* op, const void* address) {
  if (const auto told = ask_writable(address)) return *told;
  const auto mapping = find_mapping(op, address);
  return mapping && mapping->writable;
}

bool read_memory(const void* from, void* to, size_t bytes) {
  const iovec target{to, bytes};
  // The kernel reads the source, whatever iovec says of const.
  const iovec source{const_cast<void*>(from), bytes};
  const ssize_t read = process_vm_readv(getpid(), &target, 1, &source, 1, 0);
  if (read < 0 && errno != EFAULT) {  // forbidden, as in some containers
    std::memcpy(to, from, bytes);
    return true;
  }
  return read == static_cast<ssize_t>(bytes);
}

namespace {

std::atomic<uint32_t> known_pid_namespace = 0;

// The child may be the first process of a new namespace.
[[maybe_unused]] const int forks =
    pthread_atfork(nullptr, nullptr, [] { known_pid_namespace = 0; });

}  // namespace

uint32_t pid_namespace() {
  uint32_t known = known_pid_namespace;
  if (known != 0) return known;
  struct stat status{};
  // Namespaces are files of nsfs, numbered by 32-bit inodes.
  if (stat("/proc/self/ns/pid", &status) != 0) return 0;
  known = static_cast<uint32_t>(status.st_ino);
  known_pid_namespace = known;
  return known;
}

}  // namespace atomics::mutex
