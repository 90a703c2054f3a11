"""Compile the C kernels of this package when they are first used."""

import ctypes
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import torch

from softlookup.system import content_cache

FLAGS = ("-O3", "-march=native", "-std=c11", "-fno-math-errno", "-fno-trapping-math", "-fopenmp", "-shared", "-fPIC")
_REALS = {torch.float32: ("-DREAL=float", "-DWIDE=0"), torch.float64: ("-DREAL=double", "-DWIDE=1")}
_SECONDS = 120  # for a compiler on a busy machine
_SOURCES = ("additive.c", "dot_step.c")  # compiled as one file
_POINTER, _WHOLE, _INT, _DOUBLE = ctypes.c_void_p, ctypes.c_int64, ctypes.c_int, ctypes.c_double


class NoKernelError(Exception):
    """Say why there is no compiled kernel."""


@functools.cache
def library(real: torch.dtype) -> ctypes.CDLL | None:
    """Return the compiled kernels for float32 or float64; None without a C compiler, which is reported once.

    The compiler is that of the environment variable CC, else cc, gcc or clang. The result is cached by the hash of
    source, flags and processor (`content_cache.kept_file`), so that it is compiled once per machine.
    """
    source = b"\n".join(Path(__file__).with_name(name).read_bytes() for name in _SOURCES)
    flags = (*FLAGS, *_REALS[real])
    digest = hashlib.sha256(b"\0".join([source, *map(str.encode, flags), _processor()])).hexdigest()
    try:
        _, found = content_cache.kept_file(
            f"kernels/{digest[:32]}.so", functools.partial(_compile, source, flags), lambda path: ctypes.CDLL(str(path))
        )
    except (NoKernelError, OSError, subprocess.SubprocessError) as error:
        _report(str(error).strip())
        return None
    found.forward.argtypes, found.forward.restype = [_POINTER] * 8 + [_WHOLE] * 6 + [_INT], _INT
    found.backward.argtypes, found.backward.restype = [_POINTER] * 13 + [_WHOLE] * 8 + [_INT], _INT
    found.dot_step.argtypes, found.dot_step.restype = [_POINTER] * 10 + [_DOUBLE] + [_WHOLE] * 5 + [_INT], _INT
    return found


def _compile(source: bytes, flags: tuple[str, ...], path: Path) -> None:
    try:
        named = shlex.split(os.environ.get("CC", ""))
    except ValueError as error:
        raise NoKernelError(f"CC={os.environ['CC']}: {error}") from error
    compiler = named or [name for name in ("cc", "gcc", "clang") if shutil.which(name)][:1]
    if not compiler:
        raise NoKernelError("there is no C compiler (cc, gcc or clang)")
    command = [*compiler, *flags, "-x", "c", "-", "-o", str(path), "-lm"]
    done = subprocess.run(command, input=source, capture_output=True, timeout=_SECONDS, check=False)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise NoKernelError(f"{shlex.join(compiler)} failed: {said[0]}")


@functools.cache
def _report(reason: str) -> None:
    print(
        f"warning: {reason}; attention is computed by torch, several times slower; install gcc, or set CC",
        file=sys.stderr,
        flush=True,
    )


def _processor() -> bytes:
    """Describe the processor that -march=native compiles for: a cache may be shared by machines."""
    with suppress(OSError):
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").partition("\n\n")[0].splitlines()
        lines = [line for line in first if line.partition(":")[0].strip() in ("model name", "flags", "Features")]
        if lines:
            return "\n".join(lines).encode()
    return f"{platform.machine()} {platform.processor()}".encode()
