"""Limit and measure the memory of a run. No torch."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

MB = 1_000_000


@contextmanager
def limited(megabytes: int | None) -> Iterator[None]:
    """Within, this process gets no more private memory than that: whoever asks for more has a MemoryError, or torch's
    words for it. None changes nothing."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    if megabytes is not None:
        bounds = [megabytes * MB] + ([] if before[1] == resource.RLIM_INFINITY else [before[1]])
        resource.setrlimit(resource.RLIMIT_DATA, (min(bounds), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def told(megabytes: int | None, peak: int | None = None) -> str:
    """Return the limit and the peak in words; `peak` in bytes, None for that of this process."""
    if peak is None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    own = f"memory={megabytes} MB" if megabytes is not None else f"{_available() // MB:,} MB of this machine"
    return f"limit {own}, peak {peak // MB:,} MB"


def peak(pid: int) -> int:
    """Return the most bytes that a living process has held at once; 0 where that is not known."""
    with suppress(OSError, ValueError, IndexError):
        return 1024 * _field(Path(f"/proc/{pid}/status"), "VmHWM:")
    return 0


def kernel_kills() -> int:
    """Return how many processes the kernel of this machine has killed for want of memory; 0 where it does not count."""
    with suppress(OSError, ValueError, IndexError):
        return _field(Path("/proc/vmstat"), "oom_kill")
    return 0


def _available() -> int:
    """Return what the machine has, or the control group that this process is in."""
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
