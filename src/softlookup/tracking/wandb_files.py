"""Read the W&B files of a run, and check whether they are complete. No wandb, no torch.

A `.wandb` file is a log in LevelDB's format: seven header bytes, then blocks of 32 KiB. A block has chunks, each with a
header of checksum (4 bytes), length (2) and kind (1). A record is one or several chunks, and holds a protobuf message.
wandb numbers the messages from 1, and silently continues when one cannot be written.
"""

import shlex
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from softlookup.errors import shell_quote

_MARK = b":W&B\xe1\xbe\x00"
_BLOCK = 32768
_HEADER = struct.Struct("<IHB")
_WHOLE, _FIRST, _LAST = 1, 2, 4  # kinds of chunks; 3 is a middle one
# Field numbers of wandb's message Record, and of its history and exit messages.
_NUMBER, _HISTORY, _EXIT = 1, 2, 18
_STEP, _STEP_NUMBER, _EXIT_CODE = 2, 1, 1


def logs(folder: Path) -> list[Path]:
    """Return the `.wandb` files in a run folder, one for each offline or online attempt."""
    return sorted(folder.glob("wandb/*run-*/run-*.wandb"))


def holds(log: Path, steps: Sequence[int]) -> bool:
    """Return whether a `.wandb` file is complete: all messages, one history record for each of these steps, and a
    successful exit. A missing file, or one of another format, is not complete."""
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
    """Return whether the file is fully uploaded: `wandb sync` and `set_uploaded` create a marker file."""
    return _receipt(log).exists()


def set_uploaded(log: Path) -> None:
    """Create the marker file of a complete upload."""
    _receipt(log).touch()


def remedy(folder: Path, mode: str) -> str:
    """Return the command that rewrites the W&B files of a run, and of all other incomplete runs of its experiment."""
    runs_dir = folder.absolute().parent.parent
    words = [f"experiment={folder.absolute().parent.name}"]
    if runs_dir != Path("runs").absolute():
        words.insert(0, f"runs_dir={runs_dir}")
    if mode == "online":
        words.append("mode=online")
    joined = shlex.join(words)
    if joined == " ".join(words):
        return f'make resync ARGS="{joined}"'
    return f"make resync {shell_quote('ARGS=' + joined.replace('$', '$$'))}"  # expanded by make, then by a shell


def _receipt(log: Path) -> Path:
    return log.with_name(f"{log.name}.synced")


def _records(data: bytes) -> Iterator[bytes]:
    """Yield the records up to the end, or up to the first chunk that is truncated or has a wrong checksum."""
    record, at = b"", len(_MARK)
    if not data.startswith(_MARK):
        raise ValueError("not a .wandb file")
    while at + _HEADER.size <= len(data):
        room = _BLOCK - at % _BLOCK
        if room < _HEADER.size:  # the rest of a block is padding if it is too small for a header
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
    """Parse a protobuf message into numbers and bytes by field number; of repeated fields only the last. Raises
    ValueError for invalid messages."""
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
    """Parse the varint at position `at` (seven bits per byte, lowest first); return it and the position after it."""
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
