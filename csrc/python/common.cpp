#include "common.h"

#include <cmath>
#include <cstring>

namespace atomics::python {

const fast::Table* table = nullptr;
std::atomic<unsigned long> exporting = 0;

bool parse_binding(PyObject* args, void*& address, Py_ssize_t& bytes) {
  PyObject* pointer = nullptr;
  if (!PyArg_ParseTuple(args, "O!n", &PyLong_Type, &pointer, &bytes)) return false;
  address = PyLong_AsVoidPtr(pointer);
  if (address == nullptr && PyErr_Occurred()) return false;
  if (table == nullptr) raise_unbound();
  return table != nullptr;
}

bool bind(Cell* self, const char* name, PyObject* args) {
  void* address = nullptr;
  Py_ssize_t bytes = 0;
  if (!parse_binding(args, address, bytes)) return false;
  std::atomic_ref<size_t> claimed(self->bytes);
  size_t unclaimed = 0;
  if (!claimed.compare_exchange_strong(unclaimed, static_cast<size_t>(bytes))) {
    raise_bound();
    return false;
  }
  fast::Error error;
  void* const memory = table->map(name, address, static_cast<size_t>(bytes), &error);
  if (memory == nullptr) {
    claimed.store(0);
    raise(error);
    return false;
  }
  std::atomic_ref<void*>(self->memory).store(memory, std::memory_order_release);
  return true;
}

void free_object(PyObject* self) {
  PyTypeObject* const type = Py_TYPE(self);
  // The slot holds what PyType_FromSpec put there.
  reinterpret_cast<freefunc>(PyType_GetSlot(type, Py_tp_free))(self);
  Py_DECREF(type);
}

void dealloc_cell(PyObject* self) {
  const auto* cell = reinterpret_cast<Cell*>(self);  // of a type whose objects are cells
  if (cell->memory != nullptr) table->unmap(cell->memory, cell->bytes);
  free_object(self);
}

bool parse(const char* function, PyObject* const* args, Py_ssize_t count, PyObject* names,
           std::initializer_list<const char*> parameters, PyObject** values) {
  if (count > static_cast<Py_ssize_t>(parameters.size())) {
    PyErr_Format(PyExc_TypeError, "%s() takes at most %zu arguments, got %zd", function,
                 parameters.size(), count);
    return false;
  }
  std::copy(args, args + count, values);
  const Py_ssize_t named = names == nullptr ? 0 : PyTuple_Size(names);
  for (Py_ssize_t i = 0; i < named; ++i) {
    PyObject* const name = PyTuple_GetItem(names, i);
    const auto found = std::find_if(parameters.begin(), parameters.end(), [&](const char* each) {
      return PyUnicode_CompareWithASCIIString(name, each) == 0;
    });
    if (found == parameters.end()) {
      PyErr_Format(PyExc_TypeError, "%s() got an unexpected argument %R", function, name);
      return false;
    }
    if (found - parameters.begin() < count) {
      PyErr_Format(PyExc_TypeError, "%s() got two values for argument %R", function, name);
      return false;
    }
    values[found - parameters.begin()] = args[count + i];
  }
  return true;
}

std::optional<double> parse_seconds(const char* function, PyObject* timeout) {
  if (timeout == Py_None) return -1;
  const double seconds = PyFloat_AsDouble(timeout);
  if (seconds == -1 && PyErr_Occurred()) {
    if (PyErr_ExceptionMatches(PyExc_TypeError)) {
      PyErr_Clear();
      PyErr_Format(PyExc_TypeError, "%s: timeout must be a number of seconds or None, got %R",
                   function, timeout);
    }
    return std::nullopt;
  }
  if (seconds == seconds) return seconds;
  PyErr_Format(PyExc_ValueError, "%s: timeout must be a number of seconds or None, got nan",
               function);
  return std::nullopt;
}

std::optional<double> parse_timeout(const char* function, PyObject* timeout) {
  const auto seconds = parse_seconds(function, timeout);
  if (!seconds || *seconds >= 0 || *seconds == -1) return seconds;
  PyErr_Format(PyExc_ValueError, "%s: timeout must be non-negative, or None or -1 for ever, got %S",
               function, timeout);
  return std::nullopt;
}

}  // namespace atomics::python
