// The cell of an AtomicBool: an int32 that is 0 or not, on which those sleep who wait for it.
#include "../sleepers.h"
#include "common.h"

namespace atomics::python {

namespace {

Cell* cell(PyObject* self) { return reinterpret_cast<Cell*>(self); }  // of this type

// The memory was bound as an aligned int32.
struct Word {
  void* memory;

  std::atomic_ref<int32_t> flag() const {
    return std::atomic_ref<int32_t>(*static_cast<int32_t*>(memory));
  }
  void wake() const { table->wake(static_cast<uint32_t*>(memory)); }
};

std::atomic_ref<int32_t> flag_of(PyObject* self) { return Word{cell(self)->memory}.flag(); }

PyObject* bind_flag(PyObject* self, PyObject* args) {
  return bind(cell(self), "AtomicBool", args) ? Py_NewRef(Py_None) : nullptr;
}

PyObject* set(PyObject* self, PyObject*) {
  if (!may_use(cell(self))) return nullptr;
  set_and_wake(Word{cell(self)->memory});
  return Py_NewRef(Py_None);
}

PyObject* clear(PyObject* self, PyObject*) {
  if (!may_use(cell(self))) return nullptr;
  flag_of(self).store(0);
  return Py_NewRef(Py_None);
}

int truth(PyObject* self) {
  if (!may_use(cell(self))) return -1;
  return flag_of(self).load() != 0;
}

PyObject* is_set(PyObject* self, PyObject*) {
  const int is = truth(self);
  return is < 0 ? nullptr : PyBool_FromLong(is);
}

PyObject* set_if(PyObject* self, PyObject* condition) {
  if (!may_run()) return nullptr;
  if (condition == Py_True) return set(self, nullptr);
  if (condition == Py_False) return Py_NewRef(Py_None);
  return PyObject_CallMethod(self, "_set_if_other", "O", condition);
}

PyObject* wait_for(PyObject* self, PyObject* const* args, Py_ssize_t count, PyObject* names) {
  if (!may_use(cell(self))) return nullptr;
  PyObject* limit = Py_None;
  if (!parse("wait", args, count, names, {"timeout"}, &limit)) return nullptr;
  const auto seconds = parse_seconds("wait", limit);
  if (!seconds) return nullptr;
  // Negative is not at all, as multiprocessing.Event has it.
  const double timeout = limit == Py_None ? -1 : std::max(*seconds, 0.0);
  const auto* word = static_cast<uint32_t*>(cell(self)->memory);
  const int is = wait(
      timeout, kSlice, [&] { return flag_of(self).load() != 0; },
      [&](double seconds) { table->sleep(word, 0, seconds); });
  return is < 0 ? nullptr : PyBool_FromLong(is);
}

PyMethodDef methods[] = {
    {"_bind", bind_flag, METH_VARARGS, nullptr},
    {"set", set, METH_NOARGS, "set($self, /)\n--\n\nMake the flag true, and wake who waits."},
    {"clear", clear, METH_NOARGS, "clear($self, /)\n--\n\nMake the flag false."},
    {"is_set", is_set, METH_NOARGS, "is_set($self, /)\n--\n\nReturn whether the flag is true."},
    {"set_if", set_if, METH_O,
     "set_if($self, condition, /)\n--\n\n"
     "Make the flag true if ``condition`` is true, and leave it alone if it is not.\n\n"
     "Args:\n"
     "    condition: a bool, numpy's too, or a CPU bool tensor with one element.\n\n"
     "Raises:\n"
     "    TypeError: if ``condition`` is neither.\n"
     "    RuntimeError: if a tensor has another dtype, device or number of elements."},
    {"wait", method(wait_for), METH_FASTCALL | METH_KEYWORDS,
     "wait($self, timeout=None)\n--\n\n"
     "Block until the flag is true; return False if ``timeout`` passes first.\n\n"
     "Wakes when it is set, and sees within 50 ms what others write. Signals (Ctrl-C) interrupt "
     "it\n"
     "within 50 ms.\n\n"
     "Args:\n"
     "    timeout: how long to wait, in seconds; None waits for ever, a negative one not at "
     "all.\n\n"
     "Raises:\n"
     "    TypeError, ValueError: if ``timeout`` is not a number."},
    {nullptr, nullptr, 0, nullptr}};

PyType_Slot slots[] = {{Py_tp_dealloc, slot(dealloc_cell)},
                       {Py_tp_methods, methods},
                       {Py_nb_bool, slot(truth)},
                       {0, nullptr}};

}  // namespace

PyType_Spec flag_spec{"caffe2op_atomics._fast.FlagCell", sizeof(Cell), 0,
                      Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};

}  // namespace atomics::python
