// The file behind Counter(name=) and AtomicBool(name=), for C and C++ programs without torch. The
// same layout in Python: caffe2op_atomics/_shared_file.py. In words: docs/shared_files.md.
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE  // O_TMPFILE
#endif
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { kAtomicsVersion = 1, kAtomicsHeaderBytes = 64, kAtomicsLineBytes = 64 };

enum AtomicsKind { kAtomicsCounter = 1, kAtomicsBool = 2, kAtomicsMutex = 3 };

// Native byte order; every field lies at a multiple of its size.
struct AtomicsFileHeader {
  char magic[8];           // "atomics" and a zero
  uint16_t version;        // kAtomicsVersion
  uint8_t kind;            // AtomicsKind
  uint8_t dtype;           // torch's number: 4 int64 (Counter), 3 int32 (Bool), 0 uint8 (Mutex)
  uint32_t payload_bytes;  // 64, 64, 128; the file is that and 64 bytes long
  uint64_t creator_pid;
  uint64_t creator_start;          // field 22 of /proc/PID/stat, 0 if not known
  uint64_t creator_pid_namespace;  // inode of /proc/PID/ns/pid
  uint64_t created;                // nanoseconds since 1970
  uint8_t zeros[16];
};

// Maps the payload of a Counter (int64_t, the value) or a Bool (int32_t, 0 or 1). Returns NULL and
// errno if it cannot: ENOENT if nothing has the name, EPROTO if something else has it.
static inline void* atomics_map(const char* path, enum AtomicsKind kind) {
  const uint8_t dtype = kind == kAtomicsCounter ? 4 : 3;
  struct AtomicsFileHeader header;
  struct stat status;
  const int fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) return NULL;
  char* file = (char*)MAP_FAILED;
  if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || status.st_uid != geteuid() ||
      status.st_size != kAtomicsHeaderBytes + kAtomicsLineBytes ||
      pread(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header) ||
      memcmp(header.magic, "atomics", 8) != 0 || header.version != kAtomicsVersion ||
      header.kind != kind || header.dtype != dtype || header.payload_bytes != kAtomicsLineBytes) {
    errno = EPROTO;
  } else {
    file = (char*)mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  }
  const int error = errno;
  close(fd);
  errno = error;
  return file == (char*)MAP_FAILED ? NULL : file + kAtomicsHeaderBytes;
}

// Makes the file, all zeros behind the header, unless somebody was first. Returns 0, or -1 and
// errno, which is EEXIST then. It gets its name when it is whole, so that nobody sees less of it.
static inline int atomics_create(const char* path, enum AtomicsKind kind) {
  struct AtomicsFileHeader header;
  struct stat pid_namespace;
  struct timespec now;
  char link[64];
  memset(&header, 0, sizeof(header));
  memcpy(header.magic, "atomics", 8);
  header.version = kAtomicsVersion;
  header.kind = (uint8_t)kind;
  header.dtype = kind == kAtomicsCounter ? 4 : 3;
  header.payload_bytes = kAtomicsLineBytes;
  header.creator_pid = (uint64_t)getpid();
  if (stat("/proc/self/ns/pid", &pid_namespace) == 0) {
    header.creator_pid_namespace = pid_namespace.st_ino;
  }
  clock_gettime(CLOCK_REALTIME, &now);
  header.created = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;

  const int fd = open("/dev/shm", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
  if (fd < 0) return -1;
  snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
  // Filled before it is mapped: a full /dev/shm is an error here and would be a SIGBUS later.
  int error = posix_fallocate(fd, 0, kAtomicsHeaderBytes + kAtomicsLineBytes);
  if (error == 0 && (pwrite(fd, &header, sizeof(header), 0) != (ssize_t)sizeof(header) ||
                     linkat(AT_FDCWD, link, AT_FDCWD, path, AT_SYMLINK_FOLLOW) != 0)) {
    error = errno;
  }
  close(fd);
  errno = error;
  return error == 0 ? 0 : -1;
}
