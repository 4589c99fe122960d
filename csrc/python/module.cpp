// The module caffe2op_atomics._fast: one-element calls from Python without torch's dispatcher.
#include <dlfcn.h>

#include "common.h"

namespace atomics::python {

namespace {

// Takes the table of the op library at `path`, which is loaded already.
PyObject* connect(PyObject*, PyObject* args) {
  const char* path = nullptr;
  if (!PyArg_ParseTuple(args, "s", &path)) return nullptr;
  void* const library = dlopen(path, RTLD_NOW | RTLD_NOLOAD);  // kept: the table points into it
  void* const function = library == nullptr ? nullptr : dlsym(library, "atomics_fast_table");
  // A symbol is a pointer to anything.
  const auto* found =
      function == nullptr ? nullptr : reinterpret_cast<decltype(&atomics_fast_table)>(function)();
  if (found == nullptr || found->version != fast::kVersion) {
    PyErr_Format(PyExc_ImportError, "%s is not the library that this module was built with", path);
    return nullptr;
  }
  table = found;
  return Py_NewRef(Py_None);
}

// Whether the calling thread exports.
PyObject* set_exporting(PyObject*, PyObject* on) {
  const int is = PyObject_IsTrue(on);
  if (is < 0) return nullptr;
  exporting.store(is == 0 ? 0 : PyThread_get_thread_ident(), std::memory_order_relaxed);
  return Py_NewRef(Py_None);
}

int execute(PyObject* module) {
  for (PyType_Spec* spec : {&counter_spec, &flag_spec, &mutex_spec}) {
    PyObject* const type = PyType_FromSpec(spec);
    if (type == nullptr) return -1;
    // Named without its module; the reference is kept by the module.
    const int added = PyModule_AddType(module, reinterpret_cast<PyTypeObject*>(type));
    Py_DECREF(type);
    if (added != 0) return -1;
  }
  return 0;
}

PyMethodDef functions[] = {{"connect", connect, METH_VARARGS, nullptr},
                           {"set_exporting", set_exporting, METH_O, nullptr},
                           {nullptr, nullptr, 0, nullptr}};

PyModuleDef_Slot slots[] = {{Py_mod_exec, slot(execute)},
#ifdef Py_mod_gil  // not in the limited API of 3.10, which needs a GIL anyway
                            {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
                            {0, nullptr}};

PyModuleDef definition{
    PyModuleDef_HEAD_INIT, "_fast", nullptr, 0, functions, slots, nullptr, nullptr, nullptr};

}  // namespace

}  // namespace atomics::python

PyMODINIT_FUNC PyInit__fast() { return PyModuleDef_Init(&atomics::python::definition); }
