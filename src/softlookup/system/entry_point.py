"""Run the programs in src/: --help, exit codes, and output streams that may be closed. No torch."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress

from softlookup.errors import UserError

HELP = ("--help", "-h")
DONE, UNWRITTEN, MISTAKE, INTERRUPTED, UNREAD = 0, 1, 2, 130, 141


class _LossyOutput(io.RawIOBase):
    """A raw output stream that drops what cannot be written."""

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


def announce(line: str) -> None:
    """Print a line on the terminal before the imports of a program, which take seconds.

    Nothing is printed for --help, nor where standard error is no terminal, so that nobody waits for it.
    """
    stream = sys.stderr
    if stream is not None and stream.isatty() and not set(HELP) & set(sys.argv[1:]):
        with suppress(OSError):
            print(line, file=stream, flush=True)


def keep_talking(names: Sequence[str] = ("stdout", "stderr"), encoding: str | None = None) -> None:
    """Replace these output streams, of this process and its forks, by streams on which print never fails.

    Characters that the encoding (None: that of the stream) cannot represent are replaced; output that cannot be
    written, because the reader has exited, the disk is full or the descriptor is closed, is dropped. For messages that
    are not the product of a program: the work must continue without them.
    """
    for descriptor in range(3):  # open closed descriptors, which would otherwise be reused for the next opened file
        with suppress(OSError):
            if os.fstat(descriptor):
                continue
        os.open(os.devnull, os.O_RDWR)
    for name in names:
        stream = getattr(sys, name)
        if stream is not None:
            with suppress(OSError, ValueError):
                stream.flush()
        output = io.BufferedWriter(_LossyOutput({"stdout": 1, "stderr": 2}[name]))  # type: ignore[type-var]
        used = encoding or getattr(stream, "encoding", None) or "utf-8"
        setattr(sys, name, io.TextIOWrapper(output, used, "replace", line_buffering=True))


def run(main: Callable[[list[str]], int | None], usage: str | None, product: bool = False) -> None:
    """Call `main` with the command line arguments, and exit with 0 or the code it returns.

    --help and -h print `usage`. A UserError is printed in one line, exit code 2; a file that cannot be read or written
    exits with 1, Ctrl-C with 130. If standard output is the `product` of the program, a closed reader exits with 141;
    otherwise output that cannot be written is dropped.
    """
    keep_talking(("stderr",) if product else ("stdout", "stderr"))
    sys.exit(code(main, usage or "", sys.argv[1:]))


def code(main: Callable[[list[str]], int | None], usage: str, arguments: list[str]) -> int:
    """Call `main` with these arguments and return the exit code, as described for `run`."""
    if sys.stdout is None:
        print("error: standard output is closed", file=sys.stderr)
        return UNWRITTEN
    found: int | None = DONE
    try:
        if any(argument in HELP for argument in arguments):
            print(usage.strip())
        else:
            found = main(arguments)
        sys.stdout.flush()
    except UserError as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:
            _discard_output()
        return MISTAKE
    except BrokenPipeError:
        _discard_output()
        return UNREAD
    except KeyboardInterrupt:
        return INTERRUPTED
    except OSError as error:
        print(f"error: {error.filename or 'the output'} cannot be written ({error.strerror})", file=sys.stderr)
        _discard_output()
        return UNWRITTEN
    return found or DONE


def _discard_output() -> None:
    """Redirect standard output to the null device, so that Python's final flush of buffered output cannot fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
