"""Write files atomically. No torch."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def content(path: Path) -> bytes:
    """Return the bytes of a regular file. Raises OSError for anything else: a pipe would be waited for without end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return path.read_bytes()


def write(path: Path, content: bytes) -> None:
    """Write aside in the same folder, flush to disk, rename: whoever finds `path` finds all of `content`.

    Whatever was at `path` stays until the rename. Raises OSError with the path, and leaves nothing behind then.
    """
    with written(path) as aside, aside.open("wb") as file:
        file.write(content)


@contextmanager
def written(path: Path) -> Iterator[Path]:
    """Yield a place aside, for a file that is too large to be held; at the end of the block it is as if `write` had
    written it. Raises as `write` does, and leaves nothing behind where the block raises anything."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield aside
        descriptor = os.open(aside, os.O_RDWR)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        os.replace(aside, path)
        _settle(path.parent)
    except BaseException as error:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        if isinstance(error, OSError):  # a write to a full disk does not say where
            raise type(error)(error.errno, error.strerror, str(path)) from error
        raise


def append(path: Path, content: bytes, size: int) -> int:
    """Append to a file that must have `size` bytes; its new size. On disk when this returns, or undone.

    Raises OSError with the path, FileNotFoundError where the file or its folder is gone, and RuntimeError where the
    file has another size: somebody else writes to it.
    """
    try:
        with path.open("r+b") as file:
            found = file.seek(0, os.SEEK_END)
            if found != size:
                raise RuntimeError(f"{path} has {found} bytes, expected {size}: somebody else writes to it")
            try:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):
                    os.ftruncate(file.fileno(), size)
                raise
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(path)) from error
    return size + len(content)


def _settle(folder: Path) -> None:
    """The rename itself, on disk; some file systems know no fsync of a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
