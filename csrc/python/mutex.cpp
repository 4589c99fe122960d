// A Mutex over the locking of the op library, which owns what each thread holds.
//
// No Python code runs between the lock and the return of __enter__ or acquire: they return holding
// the mutex, or raise not holding it (but for OwnerDiedError, which says that it is held).
#include "common.h"

namespace atomics::python {

namespace {

struct Object {
  PyObject ob_base;
  fast::Mutex* mutex;  // null until bound, by one of the threads that try
};

// What the locking functions of the table return.
enum Status { kError = -1, kNotAcquired = 0, kAcquired = 1, kOwnerDied = 2 };

fast::Mutex* mutex_of(PyObject* self) {
  auto* const object = reinterpret_cast<Object*>(self);  // of this type
  auto* const mutex = std::atomic_ref<fast::Mutex*>(object->mutex).load(std::memory_order_acquire);
  if (mutex == nullptr) raise_unbound();
  return mutex == nullptr || may_run() ? mutex : nullptr;
}

PyObject* bind_mutex(PyObject* self, PyObject* args) {
  void* address = nullptr;
  Py_ssize_t bytes = 0;
  if (!parse_binding(args, address, bytes)) return nullptr;
  auto* const object = reinterpret_cast<Object*>(self);  // of this type
  fast::Error error;
  fast::Mutex* const mutex = table->open("Mutex", address, &error);
  if (mutex == nullptr) return raise(error);
  fast::Mutex* unbound = nullptr;
  if (!std::atomic_ref<fast::Mutex*>(object->mutex).compare_exchange_strong(unbound, mutex)) {
    table->close(mutex);
    return raise_bound();
  }
  return Py_NewRef(Py_None);
}

void dealloc(PyObject* self) {
  auto* const mutex = reinterpret_cast<Object*>(self)->mutex;  // of this type
  if (mutex != nullptr) table->close(mutex);
  free_object(self);
}

// Another thread holds it: sleeps, in slices. -1 with an exception, or a status.
int acquire_within(fast::Mutex* mutex, double timeout) {
  int status = kNotAcquired;
  fast::Error error;
  const int ended = wait(
      timeout, kSlice, [&] { return status != kNotAcquired; },
      [&](double seconds) { status = table->lock(mutex, seconds, &error); });
  if (ended < 0) return kError;  // a signal handler raised, and nothing is held
  if (status == kError) raise(error);
  return status;
}

// After how many seconds the object wants to be told of a wait, -1 for never; nothing after an
// error.
std::optional<double> patience_of(PyObject* self) {
  PyObject* const patience = PyObject_GetAttrString(self, "_warn_after");
  if (patience == nullptr) return std::nullopt;
  const double seconds = patience == Py_None ? -1 : PyFloat_AsDouble(patience);
  Py_DECREF(patience);
  if (PyErr_Occurred() != nullptr) return std::nullopt;
  return seconds;
}

// Nothing is held when Python code of ours tells of a long wait.
int acquire_slowly(PyObject* self, fast::Mutex* mutex, double timeout) {
  const auto patience = patience_of(self);
  if (!patience) return kError;
  if (*patience < 0 || (timeout >= 0 && timeout <= *patience)) {
    return acquire_within(mutex, timeout);
  }
  using Clock = std::chrono::steady_clock;
  const auto began = Clock::now();
  const int status = acquire_within(mutex, *patience);
  if (status != kNotAcquired) return status;
  PyObject* const told = PyObject_CallMethod(self, "_warn_of_wait", "d", *patience);
  if (told == nullptr) return kError;
  Py_DECREF(told);
  const std::chrono::duration<double> passed = Clock::now() - began;
  return acquire_within(mutex, timeout < 0 ? timeout : std::max(timeout - passed.count(), 0.0));
}

// The class of the object says what the death of an owner means; no Python code of ours runs.
int tell_owner_died(PyObject* self, fast::Mutex* mutex) {
  PyObject* const policy = PyObject_GetAttrString(self, "_on_owner_died");
  if (policy == nullptr) return kError;
  const bool recover =
      PyUnicode_Check(policy) && PyUnicode_CompareWithASCIIString(policy, "recover") == 0;
  Py_DECREF(policy);
  if (recover) {
    fast::Error error;
    if (table->consistent(mutex, &error) == 0) return kAcquired;
    raise(error);
    return kError;
  }
  PyObject* const type = PyObject_GetAttrString(self, "_OWNER_DIED_ERROR");
  PyObject* const text = PyObject_GetAttrString(self, "_OWNER_DIED");
  if (type != nullptr && text != nullptr) PyErr_SetObject(type, text);
  Py_XDECREF(type);
  Py_XDECREF(text);
  return kError;
}

int acquire_in(PyObject* self, bool blocking, double timeout) {
  fast::Mutex* const mutex = mutex_of(self);
  if (mutex == nullptr) return kError;
  fast::Error error;
  int status = blocking ? table->lock_now(mutex, &error) : table->try_lock(mutex, &error);
  if (status == kError) return raise(error), kError;
  if (status == kNotAcquired && blocking) status = acquire_slowly(self, mutex, timeout);
  // A signal that came meanwhile is handled while the mutex can still be given back.
  if (status != kNotAcquired && PyErr_CheckSignals() != 0) {
    table->unlock(mutex, true, &error);
    return kError;
  }
  return status == kOwnerDied ? tell_owner_died(self, mutex) : status;
}

PyObject* acquire(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  PyObject* values[2] = {Py_True, nullptr};
  if (!parse("acquire", args, count, names, {"blocking", "timeout"}, values)) return nullptr;
  const int blocking = PyObject_IsTrue(values[0]);
  if (blocking < 0) return nullptr;
  double timeout = -1;
  if (values[1] != nullptr) {
    const auto parsed = parse_timeout("acquire", values[1]);
    if (!parsed) return nullptr;
    timeout = *parsed;
  }
  if (!blocking && timeout != -1) {
    PyErr_SetString(PyExc_ValueError,
                    "acquire: timeout must be -1 or None for a non-blocking call, got one");
    return nullptr;
  }
  const int status = acquire_in(self, blocking, timeout);
  return status == kError ? nullptr : PyBool_FromLong(status != kNotAcquired);
}

PyObject* enter(PyObject* self, PyObject*) {
  return acquire_in(self, true, -1) == kError ? nullptr : Py_NewRef(self);
}

PyObject* release(PyObject* self, PyObject*) {
  fast::Mutex* const mutex = mutex_of(self);
  fast::Error error;
  if (mutex == nullptr) return nullptr;
  return table->unlock(mutex, false, &error) != 0 ? raise(error) : Py_NewRef(Py_None);
}

PyObject* exit(PyObject* self, PyObject* const*, Py_ssize_t) { return release(self, nullptr); }

PyObject* consistent(PyObject* self, PyObject*) {
  fast::Mutex* const mutex = mutex_of(self);
  fast::Error error;
  if (mutex == nullptr) return nullptr;
  return table->consistent(mutex, &error) != 0 ? raise(error) : Py_NewRef(Py_None);
}

// The thread id, 0 if unlocked; -1 with an exception.
int64_t owner_of(PyObject* self) {
  fast::Mutex* const mutex = mutex_of(self);
  fast::Error error;
  if (mutex == nullptr) return -1;
  const int64_t owner = table->owner(mutex, &error);
  if (owner < 0) raise(error);
  return owner;
}

PyObject* owner(PyObject* self, PyObject*) {
  const int64_t thread = owner_of(self);
  if (thread < 0) return nullptr;
  return thread == 0 ? Py_NewRef(Py_None) : PyLong_FromLongLong(thread);
}

PyObject* locked(PyObject* self, PyObject*) {
  const int64_t thread = owner_of(self);
  return thread < 0 ? nullptr : PyBool_FromLong(thread != 0);
}

PyObject* recoveries(PyObject* self, void*) {
  fast::Mutex* const mutex = mutex_of(self);
  fast::Error error;
  if (mutex == nullptr) return nullptr;
  const int64_t count = table->recoveries(mutex, &error);
  return count < 0 ? raise(error) : PyLong_FromLongLong(count);
}

PyGetSetDef properties[] = {
    {"recoveries", recoveries, nullptr,
     "How many threads and processes died while they held the mutex, so far.", nullptr},
    {nullptr, nullptr, nullptr, nullptr, nullptr}};

PyMethodDef methods[] = {
    {"_bind", bind_mutex, METH_VARARGS, nullptr},
    {"acquire", method(acquire), METH_FASTCALL | METH_KEYWORDS,
     "acquire($self, blocking=True, timeout=-1)\n--\n\n"
     "Acquire the mutex and return True, or return False if that was not possible in time.\n\n"
     "Blocks, and can be interrupted by signals (Ctrl-C) within 50 ms.\n\n"
     "Args:\n"
     "    blocking: whether to wait for the mutex.\n"
     "    timeout: how long to wait, in seconds; -1 or None waits for ever.\n\n"
     "Raises:\n"
     "    OwnerDiedError: the mutex **is held**, but the last holder died while it held it.\n"
     "    RuntimeError: if this thread holds it already, or the mutex is overwritten, in another\n"
     "        pid namespace, or was released after a death without :meth:`consistent`.\n"
     "    TypeError, ValueError: if ``timeout`` is not a number, negative but not -1, or given\n"
     "        without ``blocking``."},
    {"release", release, METH_NOARGS,
     "release($self, /)\n--\n\nRelease the mutex.\n\n"
     "Raises:\n"
     "    RuntimeError: if the calling thread does not hold it."},
    {"consistent", consistent, METH_NOARGS,
     "consistent($self, /)\n--\n\n"
     "Declare what the mutex guards repaired, after OwnerDiedError and before the release.\n\n"
     "A mutex that is released without this is lost: every later acquire raises RuntimeError.\n\n"
     "Raises:\n"
     "    RuntimeError: if the calling thread does not hold it, or no owner died."},
    {"locked", locked, METH_NOARGS,
     "locked($self, /)\n--\n\nReturn whether somebody holds the mutex."},
    {"owner", owner, METH_NOARGS,
     "owner($self, /)\n--\n\n"
     "Return the thread id (``threading.get_native_id``) of the holder, or None."},
    {"__enter__", enter, METH_NOARGS,
     "__enter__($self, /)\n--\n\nAcquire the mutex, waiting for ever, and return it."},
    {"__exit__", method(exit), METH_FASTCALL,
     "__exit__($self, /, *exc_info)\n--\n\nRelease the mutex, and let an exception pass."},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot slots[] = {{Py_tp_dealloc, slot(dealloc)},
                       {Py_tp_methods, methods},
                       {Py_tp_getset, properties},
                       {0, nullptr}};

}  // namespace

PyType_Spec mutex_spec{"caffe2op_atomics._fast.MutexCell", sizeof(Object), 0,
                       Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};

}  // namespace atomics::python
