// What the types of caffe2op_atomics._fast share. No torch header: the op library is reached
// through csrc/fast_table.h only, so that the two are built apart.
#pragma once

// Defined but where setup.py asks for no limited API; torch's build chooses the version.
#ifdef Py_LIMITED_API
#undef Py_LIMITED_API
#define Py_LIMITED_API 0x030a0000
#endif
#include <Python.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>

#include "../fast_table.h"

namespace atomics::python {

extern const fast::Table* table;  // set by connect(), before any object is made

extern PyType_Spec counter_spec;
extern PyType_Spec flag_spec;
extern PyType_Spec mutex_spec;

// A cell in shared memory, seen through a mapping that is the object's own for life.
//
// Threads may bind it at once, where there is no GIL: the one that sets `bytes` does. Who sees
// `memory`, which follows, sees `bytes` as well.
struct Cell {
  PyObject ob_base;
  void* memory;  // null until bound
  size_t bytes;
};

inline bool is_bound(Cell* self) {
  return std::atomic_ref<void*>(self->memory).load(std::memory_order_acquire) != nullptr;
}

inline PyObject* raise(const fast::Error& error) {
  PyErr_SetString(PyExc_RuntimeError, error.text);
  return nullptr;
}

inline PyObject* raise_unbound() {
  PyErr_SetString(PyExc_RuntimeError, "an object that was not initialised holds nothing");
  return nullptr;
}

// The thread in which torch.export traces without dynamo, or 0. The program that it makes holds
// what a call of ours returned meanwhile, and not the call.
extern std::atomic<unsigned long> exporting;

// False, with an error, while the calling thread is that one.
inline bool may_run() {
  const unsigned long thread = exporting.load(std::memory_order_relaxed);
  if (thread == 0 || thread != PyThread_get_thread_ident()) [[likely]]
    return true;
  PyErr_SetString(
      PyExc_RuntimeError,
      "Counter, AtomicBool and Mutex must not be used while torch.export traces without "
      "dynamo, whose program would hold what a method returned just now: give "
      "strict=True, or use ops on handles");
  return false;
}

// Before each use of a cell: false after an error.
inline bool may_use(Cell* self) {
  if (is_bound(self)) [[likely]]
    return may_run();
  raise_unbound();
  return false;
}

inline PyObject* raise_bound() {
  PyErr_SetString(PyExc_RuntimeError, "an object is bound to its memory once");
  return nullptr;
}

// The arguments of _bind: where the memory is. False after an error.
bool parse_binding(PyObject* args, void*& address, Py_ssize_t& bytes);
bool bind(Cell* self, const char* name, PyObject* args);
void dealloc_cell(PyObject* self);
void free_object(PyObject* self);

// The arguments of a vectorcall, by position or name; the missing ones stay as they are.
bool parse(const char* function, PyObject* const* args, Py_ssize_t count, PyObject* names,
           std::initializer_list<const char*> parameters, PyObject** values);

// Seconds, or nothing after an error: those of any number but NaN, or -1 for None.
std::optional<double> parse_seconds(const char* function, PyObject* timeout);

// The same where a negative number is an error, but for -1. Both wait for ever.
std::optional<double> parse_timeout(const char* function, PyObject* timeout);

// How long one sleep lasts at most: then signals are looked at, such as Ctrl-C, and the memory,
// which may have been written by somebody who wakes nobody.
constexpr double kSlice = 0.05;

// Alternates `sleep(seconds)`, without the GIL, and `ready()` until it is. 1 if it was in time, 0
// if not, -1 if a signal handler raised.
template <class Ready, class Sleep>
int wait(double timeout, double slice, Ready&& ready, Sleep&& sleep) {
  using Clock = std::chrono::steady_clock;
  if (ready()) return 1;
  const auto start = Clock::now();
  for (;;) {
    const std::chrono::duration<double> passed = Clock::now() - start;
    const double left = timeout < 0 ? slice : timeout - passed.count();
    if (left <= 0) return 0;
    PyThreadState* const state = PyEval_SaveThread();
    sleep(std::min(left, slice));
    PyEval_RestoreThread(state);
    if (ready()) return 1;
    if (PyErr_CheckSignals() != 0) return -1;
  }
}

// A method that is called with its arguments in an array, as the table of methods wants it.
template <class Function>
PyCFunction method(Function* function) {
  return reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(function));  // by its flags
}

// A slot's value is a pointer to anything.
template <class Function>
void* slot(Function* function) {
  return reinterpret_cast<void*>(function);
}

}  // namespace atomics::python
