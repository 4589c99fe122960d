"""What the system says of itself and of this process, in words: versions, limits, containers."""

from __future__ import annotations

import os
import platform
import resource
from collections.abc import Mapping
from pathlib import Path

import torch

from ._shared_file import DIRECTORY

_PROC = Path("/proc")
_CGROUPS = Path("/sys/fs/cgroup")
_FIRST_PID_NAMESPACE = 0xEFFFFFFC  # PROC_PID_INIT_INO of the kernel

_MIB = 2**20
_LITTLE_SHARED_MEMORY = 64 * _MIB  # what docker gives a container
_FEW_DESCRIPTORS = 256
_ALMOST = 0.9  # of a limit


def versions() -> str:
    """Return what measurements and verifications depend on, as their pages have it."""
    return (
        f"torch {torch.__version__}, Python {platform.python_version()}, "
        f"{' '.join(platform.libc_ver())} and Linux {platform.release()} on {platform.machine()}"
    )


def cpuinfo() -> dict[str, str]:
    """Return what the system says of the first processor."""
    fields: dict[str, str] = {}
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    return fields


def processor() -> str:
    """Return the processor's model and how many cores there are."""
    model = cpuinfo().get("model name") or platform.processor() or platform.machine()
    return f"{model}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores usable"


def shared_memory(directory: Path = DIRECTORY) -> str:
    """Return the size of /dev/shm, in which all shared memory is, and what of it is in use."""
    status = os.statvfs(directory)
    size, free = (blocks * status.f_frsize for blocks in (status.f_blocks, status.f_bavail))
    if size == 0:
        return "no limit"
    text = f"{_of_bytes(size - free)} of {_of_bytes(size)} in use"
    if free < _MIB:
        return f"{text}: FULL, what is shared has to fit into it"
    if size <= _LITTLE_SHARED_MEMORY:
        return f"{text}: LITTLE, in a container see --shm-size"
    return text


def memory() -> str:
    """Return how much memory there is, and what of it a container may have, with /dev/shm."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    limit = _limit_of_cgroup("memory", "memory.max", "memory.limit_in_bytes")
    of_container = "" if limit is None else f", the container {_of_bytes(limit)} (cgroup)"
    return f"the machine has {_of_bytes(total)}{of_container}"


def mappings() -> str:
    """Return how many mappings this process has; a shared object takes one or two."""
    used = len((_PROC / "self" / "maps").read_text().splitlines())
    limit = int((_PROC / "sys" / "vm" / "max_map_count").read_text())
    return f"{used:,} of {limit:,} in use (vm.max_map_count){_almost(used, limit)}"


def descriptors() -> str:
    """Return how many descriptors this process has; a shared tensor may take one."""
    used = len(os.listdir("/proc/self/fd")) - 1  # noqa: PTH208  (a Path would be one for each)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    text = f"{used:,} of {_limit(soft)} in use (ulimit -n, at most {_limit(hard)})"
    if 0 <= soft < _FEW_DESCRIPTORS:
        return f"{text}: FEW, a shared tensor takes one under the strategy file_descriptor"
    return text + _almost(used, soft)


def threads() -> str:
    """Return how many threads this process has, and how many there may be."""
    status = (_PROC / "self" / "status").read_text()
    used = int(status.partition("\nThreads:")[2].split(maxsplit=1)[0])
    of_user = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    of_container = _limit_of_cgroup("pids", "pids.max", "pids.max")
    most = f"the user may have {_limit(of_user)} (ulimit -u)"
    if of_container is not None:
        most += f", the container {of_container:,} (pids.max)"
    return f"{used:,} here, {torch.get_num_threads()} for a large op of torch; {most}"


def container(environment: Mapping[str, str] = os.environ) -> str:
    """Return what hints at a container."""
    hints = [name for name in ("/.dockerenv", "/run/.containerenv") if Path(name).exists()]
    if "container" in environment:
        hints.append(f"container={environment['container']}")
    if "KUBERNETES_SERVICE_HOST" in environment:
        hints.append("Kubernetes")
    return ", ".join(hints) or "no hint of one"


def pid_namespace() -> str:
    """Return the pid namespace, which all who share a mutex have to be in."""
    inode = (_PROC / "self" / "ns" / "pid").stat().st_ino
    kind = "the system's first" if inode == _FIRST_PID_NAMESPACE else "a container's"
    return f"{inode}, {kind}"


def _limit_of_cgroup(controller: str, name: str, old_name: str) -> int | None:
    """Return a limit of the control group of this process, None if it has none or it is hidden."""
    for line in (_PROC / "self" / "cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            file = name  # of version 2
        elif controller in controllers.split(","):
            file = f"{controller}/{old_name}"
        else:
            continue
        top, _, last = file.rpartition("/")
        # In a container, its own group may be at the top.
        for folder in (_CGROUPS / top / path.lstrip("/"), _CGROUPS / top):
            try:
                limit = (folder / last).read_text().strip()
            except OSError:
                continue
            if limit != "max" and int(limit) < 2**62:  # version 1 has a number for no limit
                return int(limit)
    return None


def _almost(used: int, limit: int) -> str:
    return ": ALMOST ALL" if limit > 0 and used >= _ALMOST * limit else ""


def _limit(value: int) -> str:
    return "any number" if value == resource.RLIM_INFINITY else f"{value:,}"


def _of_bytes(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if count < 1024 or unit == "GiB":
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError
