// PTX, which nvcc gives to the assembler of a GPU, as a program that grid.h runs. Nothing is left
// out: what is not known here is an error that names it.
#pragma once

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace ptx {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

struct Thread;
struct Instruction;

// Does an instruction in a thread, whose `next` is the one after it already.
using Step = void (*)(Thread&, const Instruction&);

// Registers that every thread starts with.
enum Special : size_t {
  kZero,
  kTid,
  kCtaid,
  kNtid,
  kNctaid,
  kParams,  // an address, as that of the local memory
  kLocals,
  kNowhere,  // `_`, which is written to only
  kFirst
};

// The sum of a register and a number.
struct Operand {
  size_t reg = kZero;
  uint64_t number = 0;
};

// How an instruction is done, as its name says.
struct Manner {
  Step step = nullptr;
  bool visible = false;  // to other threads, which may come before it
  int scope = -1;        // of what is atomic: 0 the system's, 1 the device's
};

struct Instruction {
  std::string text;
  std::string name;         // such as "atom.add.relaxed.sys.f32"
  std::vector<Operand> at;  // as they are written, those of vectors one by one
  bool first_is_vector = false;
  size_t guard = kZero;  // a predicate, which has to be `guarded_by`, if it is a register
  bool guarded_by = true;
  Manner manner;
  mutable int64_t count = 0;  // how often it was done
};

constexpr size_t kEnd = ~size_t{0};  // the next instruction of a thread that has ended

struct Param {
  size_t offset;
  size_t size;
};

struct Kernel {
  std::vector<Param> params;
  size_t local_bytes = 0;
  size_t registers = kFirst;
  std::vector<Instruction> code;
  mutable int64_t count = 0;  // of launches
};

// The kernels of a file, by name.
std::map<std::string, Kernel> parse(std::string text);

// What the parts of a name mean, in the files of these names; without a step where they are another
// file's.
using Parts = std::vector<std::string>;
Manner arithmetic(const Parts& parts);
Manner bits(const Parts& parts);
Manner comparison(const Parts& parts);
Manner conversion(const Parts& parts);
Manner memory(const Parts& parts);
Manner warp(const Parts& parts);

}  // namespace ptx
