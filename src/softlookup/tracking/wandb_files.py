"""Read W&B's files of a run, and decide whether they are complete. No wandb, no torch.

A `.wandb` file is a log in LevelDB's framing: after seven bytes of its own come blocks of 32 KiB; in a block, chunks
under a header of checksum (4 bytes), length (2) and kind (1). A record is one chunk or several, and holds a protobuf
message. wandb numbers the messages from 1, and goes on as if nothing were wrong when one cannot be written.
"""

import shlex
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from softlookup.errors import typed

_MARK = b":W&B\xe1\xbe\x00"
_BLOCK = 32768
_HEADER = struct.Struct("<IHB")
_WHOLE, _FIRST, _LAST = 1, 2, 4  # kinds of chunks; 3 is one in the middle
# Fields of wandb's message Record, and below them those of its history and its exit.
_NUMBER, _HISTORY, _EXIT = 1, 2, 18
_STEP, _STEP_NUMBER, _EXIT_CODE = 2, 1, 1


def logs(folder: Path) -> list[Path]:
    """Return the `.wandb` files in a run folder: one for each attempt, offline or online."""
    return sorted(folder.glob("wandb/*run-*/run-*.wandb"))


def holds(log: Path, steps: Sequence[int]) -> bool:
    """Return whether a `.wandb` file is whole: every message, a point of each of these steps, and the end of a run that
    did its work. A file that is not there, or not of this format, is not whole."""
    try:
        data = log.read_bytes()
        messages = [_fields(record) for record in _records(data)]
        points = [_inside(message, _HISTORY) for message in messages if _HISTORY in message]
        found = [_inside(point, _STEP).get(_STEP_NUMBER, 0) for point in points]
        ends = [_inside(message, _EXIT).get(_EXIT_CODE, 0) for message in messages if _EXIT in message]
    except (OSError, ValueError):
        return False
    numbers = [message.get(_NUMBER) for message in messages]
    return numbers == list(range(1, len(numbers) + 1)) and found == list(steps) and ends == [0]


def uploaded(log: Path) -> bool:
    """Return whether the server has it all: `wandb sync` leaves a file that says so, as `set_uploaded` does."""
    return _receipt(log).exists()


def set_uploaded(log: Path) -> None:
    _receipt(log).touch()


def remedy(folder: Path, mode: str) -> str:
    """Return what to type to make the mirror of a run folder again, with all the others of its experiment that are
    lost."""
    runs_dir = folder.absolute().parent.parent
    words = [f"experiment={folder.absolute().parent.name}"]
    if runs_dir != Path("runs").absolute():
        words.insert(0, f"runs_dir={runs_dir}")
    if mode == "online":
        words.append("mode=online")
    joined = shlex.join(words)
    if joined == " ".join(words):
        return f'make resync ARGS="{joined}"'
    return f"make resync {typed('ARGS=' + joined.replace('$', '$$'))}"  # make reads it, and then another shell


def _receipt(log: Path) -> Path:
    return log.with_name(f"{log.name}.synced")


def _records(data: bytes) -> Iterator[bytes]:
    """Yield the records up to the end, or up to the first chunk that is cut off or has the wrong checksum."""
    record, at = b"", len(_MARK)
    if not data.startswith(_MARK):
        raise ValueError("not a .wandb file")
    while at + _HEADER.size <= len(data):
        room = _BLOCK - at % _BLOCK
        if room < _HEADER.size:  # too little for a header is left empty
            at += room
            continue
        checksum, length, kind = _HEADER.unpack_from(data, at)
        at += _HEADER.size
        chunk = data[at : at + length]
        if len(chunk) < length or zlib.crc32(chunk, zlib.crc32(bytes([kind]))) != checksum:
            return
        record = chunk if kind in (_WHOLE, _FIRST) else record + chunk
        if kind in (_WHOLE, _LAST):
            yield record
        at += length


def _fields(message: bytes) -> dict[int, int | bytes]:
    """Return a protobuf message: numbers and bytes by field; of a field that comes again the last. Raises
    ValueError."""
    found: dict[int, int | bytes] = {}
    at = 0
    while at < len(message):
        key, at = _number(message, at)
        if key & 7 == 0:
            found[key >> 3], at = _number(message, at)
            continue
        if key & 7 == 2:
            size, at = _number(message, at)
            found[key >> 3] = message[at : at + size]
        else:
            size = {1: 8, 5: 4}.get(key & 7, len(message) + 1)
        at += size
    if at > len(message):
        raise ValueError("not a protobuf message")
    return found


def _number(message: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at a place, seven bits a byte and the lowest first, and the place after it."""
    value = shift = 0
    while at < len(message):
        byte = message[at]
        value |= (byte & 127) << shift
        shift, at = shift + 7, at + 1
        if byte < 128:
            return value, at
    raise ValueError("not a protobuf message")


def _inside(message: dict[int, int | bytes], field: int) -> dict[int, int | bytes]:
    value = message.get(field, b"")
    return _fields(value) if isinstance(value, bytes) else {}
