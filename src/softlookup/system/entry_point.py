"""Run the programs in src/: output streams that may close, --help, exit codes. No torch."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from softlookup.errors import UserError

HELP = ("--help", "-h")
DONE, UNWRITTEN, MISTAKE, INTERRUPTED, UNREAD = 0, 1, 2, 130, 141


class _Kept(io.RawIOBase):
    """A descriptor at whose other end there may be nobody: what cannot be written is dropped."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)

    def writable(self) -> bool:
        return True

    def write(self, content: bytes) -> int:  # type: ignore[override]
        with suppress(OSError):
            return os.write(self._descriptor, content)
        return len(content)


def keep_talking(names: Sequence[str] = ("stdout", "stderr"), encoding: str | None = None) -> None:
    """Make the streams of these names ones that no print fails on, of this process and of those it forks.

    A character that the encoding (None: the stream's own) does not have is replaced; what cannot be written, because
    the reader went away, the disk is full or the descriptor was closed, is dropped. For what is only told, and no
    product: whatever becomes of it, the work goes on.
    """
    for descriptor in range(3):  # or the next file that is opened takes the place of a stream that was closed
        with suppress(OSError):
            if os.fstat(descriptor):
                continue
        os.open(os.devnull, os.O_RDWR)
    for name in names:
        stream = getattr(sys, name)
        if stream is not None:
            with suppress(OSError, ValueError):
                stream.flush()
        kept = io.BufferedWriter(_Kept({"stdout": 1, "stderr": 2}[name]))  # type: ignore[type-var]
        spelled = encoding or getattr(stream, "encoding", None) or "utf-8"
        setattr(sys, name, io.TextIOWrapper(kept, spelled, "replace", line_buffering=True))


def run(main: Callable[[list[str]], int | None], told: str | None, product: bool = False) -> None:
    """Call `main` with the words of the command line, and exit with 0 or the code it returns.

    --help and -h print `told`. Mistakes (UserError) are told in one line, exit code 2; a file that cannot be read or
    written exits with 1, Ctrl-C with 130. Where standard output is a `product` that somebody waits for, a reader that
    wants no more of it exits with 141; elsewhere it is only told, and nothing depends on it.
    """
    keep_talking(("stderr",) if product else ("stdout", "stderr"))
    sys.exit(code(main, told or "", sys.argv[1:]))


def code(main: Callable[[list[str]], int | None], told: str, arguments: list[str]) -> int:
    """Return the exit code of `main` called with these words, as `run` says."""
    if sys.stdout is None:
        print("error: standard output is closed", file=sys.stderr)
        return UNWRITTEN
    found: int | None = DONE
    try:
        if any(argument in HELP for argument in arguments):
            print(told.strip())
        else:
            found = main(arguments)
        sys.stdout.flush()
    except UserError as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:
            _abandon()
        return MISTAKE
    except BrokenPipeError:
        _abandon()
        return UNREAD
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        print(f"error: {error.filename or 'the output'} cannot be written ({error.strerror})", file=sys.stderr)
        _abandon()
        return UNWRITTEN
    return found or DONE


def _abandon() -> None:
    """Give what is still buffered to nobody: Python flushes it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
