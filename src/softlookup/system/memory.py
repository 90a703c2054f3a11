"""Limit and measure the memory of a process. No torch."""

import ctypes
import gc
import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MB = 1_000_000
# Parameters of glibc's mallopt: the size of the unused top of the heap that is returned to the system, and the least
# size of a block with a mapping of its own; and the largest values that it accepts.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
_LARGEST_TRIM, _LARGEST_MMAP = 2**31 - 1, 32 * 2**20


@contextmanager
def limited(megabytes: int | None) -> Iterator[None]:
    """Limit the private memory of this process within the block: allocations beyond the limit raise MemoryError, or
    torch's equivalent. None sets no limit."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    if megabytes is not None:
        bounds = [megabytes * MB] + ([] if before[1] == resource.RLIM_INFINITY else [before[1]])
        resource.setrlimit(resource.RLIMIT_DATA, (min(bounds), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


@contextmanager
def collector_off() -> Iterator[None]:
    """Disable the garbage collector within the block: for work that makes many objects and no reference cycles, most of
    whose time it would otherwise take."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def keep_freed() -> None:
    """Keep memory that this process frees, up to 2 GB, for its next allocations. Has no effect without glibc.

    By default glibc returns blocks of some MB to the kernel, which clears every page of the next one: where each step
    allocates its logits anew, as a search does, up to a quarter of the time. The peak of memory stays the same.
    """
    with suppress(AttributeError, OSError, TypeError):
        library = ctypes.CDLL(None)
        library.mallopt(_TRIM_THRESHOLD, _LARGEST_TRIM)
        library.mallopt(_MMAP_THRESHOLD, _LARGEST_MMAP)


def describe(megabytes: int | None, peak: int | None = None) -> str:
    """Format the limit and the peak; `peak` in bytes, None for that of this process."""
    if peak is None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    limit = f"memory={megabytes} MB" if megabytes is not None else f"{available() // MB:,} MB of this machine"
    return f"limit {limit}, peak {peak // MB:,} MB"


def peak(pid: int) -> int:
    """Return the peak memory of a running process in bytes; 0 where it is unknown."""
    with suppress(OSError, ValueError, IndexError):
        return 1024 * _field(Path(f"/proc/{pid}/status"), "VmHWM:")
    return 0


def kernel_kills() -> int:
    """Return the number of processes that this machine's kernel has killed for lack of memory; 0 where it is
    unknown."""
    with suppress(OSError, ValueError, IndexError):
        return _field(Path("/proc/vmstat"), "oom_kill")
    return 0


def available() -> int:
    """Return the memory of the machine in bytes, or the limit of this process's control group if it is lower."""
    found = [resource.getpagesize() * _pages()]
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with suppress(OSError, ValueError):
            found.append(int(Path(file).read_text()))
    return min(found)


def _pages() -> int:
    with suppress(OSError, ValueError, IndexError):
        return _field(Path("/proc/meminfo"), "MemTotal:") * 1024 // resource.getpagesize()
    return 0


def _field(path: Path, name: str) -> int:
    (line,) = [line for line in path.read_text().splitlines() if line.split()[0] == name]
    return int(line.split()[1])
