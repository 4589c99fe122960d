"""How the reference reads docstrings: Sphinx's roles as links, and methods of C as of Python."""

from __future__ import annotations

import re
from typing import Any

from griffe import Alias, Extension, Module, Object

PACKAGE = "caffe2op_atomics"
ROLE = re.compile(r":(class|func|meth|mod):`([\w.]+)`")


class Docstrings(Extension):
    """Is told of every object that griffe reads."""

    def on_instance(self, *, obj: Object, **kwargs: Any) -> None:
        """Write what is Sphinx's and pytest's so that griffe and Markdown take it."""
        if obj.docstring:
            text = re.sub("(?m)^( *)Example:$", r"\1Examples:", obj.docstring.value)
            obj.docstring.value = ROLE.sub(lambda role: _link(obj, *role.groups()), text)

    def on_module_members(self, *, mod: Module, **kwargs: Any) -> None:
        """Take the methods of the cells from the module that has their docstrings."""
        if mod.path == f"{PACKAGE}._cells":
            for name in ("CounterCell", "FlagCell", "MutexCell"):
                mod[name] = Alias(name, f"{PACKAGE}._slow_cells.{name}")


def _link(obj: Object, role: str, name: str) -> str:
    """Return a link that is looked up from ``obj``, which does not find what a class inherits."""
    if role != "meth" or not obj.is_class or "." in name:
        return f"[`{name}`][{name}]"
    package = obj.path.rsplit(".", 2)[0]  # which exports it
    return f"[`{name}`][{package}.{obj.name}.{name}]"
