"""Write files atomically. No torch."""

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def content(path: Path) -> bytes:
    """Read the bytes of a regular file. Raises OSError for anything else: reading a pipe could block forever."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return path.read_bytes()


def write(path: Path, content: bytes) -> None:
    """Write `content` to a temporary file in the same folder, flush it to disk, and rename it to `path`.

    `path` keeps its previous content until the rename. Raises OSError with the path, and then leaves no temporary file;
    also for a device or a pipe, which the rename would replace.
    """
    with written(path) as aside, aside.open("wb") as file:
        file.write(content)


@contextmanager
def written(path: Path, flush: bool = True) -> Iterator[Path]:
    """Yield a temporary path for a file that is too large for memory; at the end of the block, flush and rename it to
    `path` as `write` does. Raises as `write` does; if the block raises, the temporary file is deleted.

    Without `flush`, which takes milliseconds, a power cut may leave an empty file: for what can be written again.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        yield aside
        if flush:
            _sync_file(aside)
        os.replace(aside, path)
        if flush:
            _sync_folder(path.parent)
    except BaseException as error:
        with suppress(OSError):
            aside.unlink(missing_ok=True)
        if isinstance(error, OSError):  # the error of a write to a full disk has no file name
            raise type(error)(error.errno, error.strerror, str(path)) from error
        raise


def append(path: Path, content: bytes, size: int) -> int:
    """Append to a file that must have `size` bytes, and return its new size. The content is flushed to disk; a failed
    write is undone.

    Raises OSError with the path, FileNotFoundError where the file or its folder is missing, and RuntimeError where the
    file has another size, because another process writes to it.
    """
    try:
        with path.open("r+b") as file:
            found = file.seek(0, os.SEEK_END)
            if found != size:
                raise RuntimeError(f"{path} has {found} bytes, expected {size}: another process writes to it")
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


def _sync_file(path: Path) -> None:
    """Flush the content of a file to disk."""
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Flush a rename to disk; ignore file systems that cannot fsync a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
