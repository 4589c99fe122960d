"""Draft."""

from ._host_group import host_group
from ._peers import ReplicaError
from .replica import Replica

__all__ = ["Replica", "ReplicaError", "host_group"]
