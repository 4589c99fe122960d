// The cell of a Counter; its words are those of sleepers.h.
#include "../counter_line.h"
#include "../sleepers.h"
#include "common.h"

namespace atomics::python {

namespace {

Cell* cell(PyObject* self) { return reinterpret_cast<Cell*>(self); }  // of this type

// The words of the memory, which was bound as aligned int64.
struct Words : CounterLine {
  explicit Words(const Cell* cell, double seconds = 0)
      : CounterLine{static_cast<int64_t*>(cell->memory)}, bytes(cell->bytes), seconds(seconds) {}

  size_t bytes;
  double seconds;  // how long a sleep lasts at most

  bool has_sleepers() const { return bytes >= kBytes; }
  void sleep_while(uint32_t wakes) const { table->sleep(slept_on(), wakes, seconds); }
  void wake() const { table->wake(slept_on()); }
};

int64_t value_of(const Cell* self) { return Words{self}.value().load(); }
int64_t add(const Cell* self, int64_t n) { return add_and_wake(Words{self}, n); }

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
  if (!may_use(cell(self))) return nullptr;
  return PyLong_FromLongLong(add(cell(self), 1));
}

template <bool kSubtract>
PyObject* fetch(PyObject* self, PyObject* number) {
  int64_t n = 0;
  if (!may_use(cell(self))) return nullptr;
  if (!parse_int64(number, n)) return nullptr;
  return PyLong_FromLongLong(add(cell(self), kSubtract ? negated(n) : n));
}

template <bool kSubtract>
PyObject* in_place(PyObject* self, PyObject* number) {
  int64_t n = 0;
  if (!may_use(cell(self))) return nullptr;
  if (!parse_int64(number, n)) return nullptr;
  add(cell(self), kSubtract ? negated(n) : n);
  return Py_NewRef(self);
}

PyObject* load(PyObject* self, PyObject*) {
  if (!may_use(cell(self))) return nullptr;
  return PyLong_FromLongLong(value_of(cell(self)));
}

void sleep_until(const Cell* self, int64_t n, double seconds) {
  if (self->bytes >= CounterLine::kBytes) return sleep_below(Words{self, seconds}, n);
  const uint32_t nobody = 0;
  table->sleep(&nobody, 0, seconds);
}

PyObject* wait_until(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  if (!may_use(cell(self))) return nullptr;
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
  const double slice = cell(self)->bytes < CounterLine::kBytes ? 0.001 : kSlice;
  const int reached = wait(
      timeout, slice, [&] { return value_of(cell(self)) >= n; },
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
     "wait_until($self, n, timeout=None)\n--\n\n"
     "Block until the value is at least ``n``; return False if ``timeout`` passes first.\n\n"
     "Wakes when a Counter counts that far, and sees within 50 ms what others write. A value that\n"
     "was passed and left again at once may not be seen. Signals (Ctrl-C) interrupt it within\n"
     "50 ms.\n\n"
     "Args:\n"
     "    n: an integer that fits in int64.\n"
     "    timeout: how long to wait, in seconds; None or -1 waits for ever.\n\n"
     "Raises:\n"
     "    TypeError, OverflowError: if ``n`` is no such integer.\n"
     "    TypeError, ValueError: if ``timeout`` is not a number, or negative but not -1."},
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
