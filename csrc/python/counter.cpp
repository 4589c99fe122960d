// The cell of a Counter.
//
// | word | holds                                                                                  |
// | 0    | the value                                                                              |
// | 1    | 0, or the lowest value that somebody sleeps for, as an unsigned number (bias 2**63) | |
// 2    | its low 32 bits: how often sleepers were woken, the word that they sleep on             |
//
// A sleeper reads word 2, lowers word 1, reads the value, and sleeps on word 2. An adder adds,
// reads word 1, and if the sum reaches it takes it back to 0, counts word 2 up and wakes all. These
// are sequentially consistent, so that one of the two always sees the other. Sleepers who were
// woken too early lower word 1 again. What a killed sleeper left there costs one wake.
#include "common.h"

namespace atomics::python {

namespace {

constexpr size_t kLineBytes = 64;  // a memory of fewer has a value and no sleepers

Cell* cell(PyObject* self) { return reinterpret_cast<Cell*>(self); }  // of this type

// The memory was bound as aligned int64 words.
std::atomic_ref<int64_t> value_of(const Cell* self) {
  return std::atomic_ref<int64_t>(*static_cast<int64_t*>(self->memory));
}

std::atomic_ref<uint64_t> awaited_of(const Cell* self) {
  return std::atomic_ref<uint64_t>(static_cast<uint64_t*>(self->memory)[1]);
}

uint32_t* wakes_of(const Cell* self) { return static_cast<uint32_t*>(self->memory) + 4; }

uint64_t biased(int64_t value) { return static_cast<uint64_t>(value) ^ (uint64_t{1} << 63); }

void wake_who_waits(const Cell* self, int64_t value) {
  const uint64_t lowest = awaited_of(self).load();
  if (lowest == 0 || biased(value) < lowest || awaited_of(self).exchange(0) == 0) return;
  std::atomic_ref<uint32_t>(*wakes_of(self)).fetch_add(1);
  table->wake(wakes_of(self));
}

int64_t add(const Cell* self, int64_t n) {
  const int64_t old = value_of(self).fetch_add(n);
  if (self->bytes >= kLineBytes && awaited_of(self).load() != 0) [[unlikely]] {
    // Through unsigned numbers, which wrap.
    wake_who_waits(self,
                   static_cast<int64_t>(static_cast<uint64_t>(old) + static_cast<uint64_t>(n)));
  }
  return old;
}

int64_t negated(int64_t n) { return static_cast<int64_t>(-static_cast<uint64_t>(n)); }

bool parse_int64(PyObject* number, int64_t& n) {
  int overflow = 0;
  PyObject* const index = PyNumber_Index(number);
  if (index == nullptr) return false;
  n = PyLong_AsLongLongAndOverflow(index, &overflow);
  if (overflow != 0) {
    PyErr_Format(PyExc_OverflowError, "Counter: a number must fit in int64, got %S", index);
  }
  Py_DECREF(index);
  return overflow == 0 && !(n == -1 && PyErr_Occurred());
}

PyObject* bind_counter(PyObject* self, PyObject* args) {
  return bind(cell(self), "Counter", args) ? Py_NewRef(Py_None) : nullptr;
}

PyObject* next(PyObject* self, PyObject*) {
  if (cell(self)->memory == nullptr) return raise_unbound();
  return PyLong_FromLongLong(add(cell(self), 1));
}

template <bool kSubtract>
PyObject* fetch(PyObject* self, PyObject* number) {
  int64_t n = 0;
  if (cell(self)->memory == nullptr) return raise_unbound();
  if (!parse_int64(number, n)) return nullptr;
  return PyLong_FromLongLong(add(cell(self), kSubtract ? negated(n) : n));
}

template <bool kSubtract>
PyObject* in_place(PyObject* self, PyObject* number) {
  int64_t n = 0;
  if (cell(self)->memory == nullptr) return raise_unbound();
  if (!parse_int64(number, n)) return nullptr;
  add(cell(self), kSubtract ? negated(n) : n);
  return Py_NewRef(self);
}

PyObject* load(PyObject* self, PyObject*) {
  if (cell(self)->memory == nullptr) return raise_unbound();
  return PyLong_FromLongLong(value_of(cell(self)).load());
}

void sleep_until(const Cell* self, int64_t n, double seconds) {
  if (self->bytes < kLineBytes) {
    const uint32_t nobody = 0;
    return table->sleep(&nobody, 0, seconds);
  }
  const auto awaited = awaited_of(self);
  const uint32_t wakes = std::atomic_ref<uint32_t>(*wakes_of(self)).load();
  uint64_t lowest = awaited.load();
  while ((lowest == 0 || biased(n) < lowest) && !awaited.compare_exchange_weak(lowest, biased(n))) {
  }
  if (value_of(self).load() >= n) return;
  table->sleep(wakes_of(self), wakes, seconds);
}

PyObject* wait_until(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  if (cell(self)->memory == nullptr) return raise_unbound();
  PyObject* values[2] = {nullptr, nullptr};
  if (!parse("wait_until", args, count, names, {"n", "timeout"}, values)) return nullptr;
  if (values[0] == nullptr) {
    PyErr_SetString(PyExc_TypeError, "wait_until() missing 1 required argument: 'n'");
    return nullptr;
  }
  int64_t n = 0;
  if (!parse_int64(values[0], n)) return nullptr;
  double timeout = -1;
  if (values[1] != nullptr) {
    const auto parsed = parse_timeout("wait_until", values[1]);
    if (!parsed) return nullptr;
    timeout = *parsed;
  }
  // Without words for sleepers, nobody wakes them: they look often.
  const double slice = cell(self)->bytes < kLineBytes ? 0.001 : kSlice;
  const int reached = wait(
      timeout, slice, [&] { return value_of(cell(self)).load() >= n; },
      [&](double seconds) { sleep_until(cell(self), n, seconds); });
  return reached < 0 ? nullptr : PyBool_FromLong(reached);
}

PyMethodDef methods[] = {
    {"_bind", bind_counter, METH_VARARGS, nullptr},
    {"_load", load, METH_NOARGS, nullptr},
    {"next", next, METH_NOARGS,
     "next($self, /)\n--\n\nAdd 1 and return the value before: a ticket that nobody else gets."},
    {"fetch_add", fetch<false>, METH_O,
     "fetch_add($self, n, /)\n--\n\nAdd ``n`` and return the value before."},
    {"fetch_sub", fetch<true>, METH_O,
     "fetch_sub($self, n, /)\n--\n\nSubtract ``n`` and return the value before."},
    {"wait_until", method(wait_until), METH_FASTCALL | METH_KEYWORDS,
     "wait_until($self, n, timeout=-1)\n--\n\n"
     "Block until the value is at least ``n``; return False if ``timeout`` passes first.\n\n"
     "Wakes when a Counter counts that far, and sees within 50 ms what others write. A value that\n"
     "was passed and left again at once may not be seen. Signals (Ctrl-C) interrupt it within\n"
     "50 ms.\n\n"
     "Args:\n"
     "    n: an integer that fits in int64.\n"
     "    timeout: how long to wait, in seconds; -1 waits for ever.\n\n"
     "Raises:\n"
     "    TypeError, OverflowError: if ``n`` is no such integer.\n"
     "    ValueError: if ``timeout`` is negative but not -1."},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot slots[] = {{Py_tp_dealloc, slot(dealloc_cell)},
                       {Py_tp_methods, methods},
                       {Py_nb_inplace_add, slot(in_place<false>)},
                       {Py_nb_inplace_subtract, slot(in_place<true>)},
                       {0, nullptr}};

}  // namespace

PyType_Spec counter_spec{"caffe2op_atomics._fast.CounterCell", sizeof(Cell), 0,
                         Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};

}  // namespace atomics::python
