"""Store encoded examples in a memory-mapped file, so that a corpus need not fit into memory."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np

from softlookup.contract import Example
from softlookup.errors import needed_by

ROWS = 8192  # examples in a record batch
Ids = tuple[int, ...]


def write(path: Path, examples: Iterable[tuple[Ids, Ids]]) -> None:
    """Write sources and targets as an Arrow file, with one batch of them in memory at a time."""
    with needed_by("a task of text"):
        import pyarrow as pa

    ids = pa.list_(pa.int32())
    schema = pa.schema([("source", ids), ("target", ids)])
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, schema) as file:
        rest = iter(examples)
        while rows := list(islice(rest, ROWS)):
            columns = [pa.array(column, ids) for column in zip(*rows, strict=True)]
            file.write_batch(pa.record_batch(columns, schema=schema))


class Encoded:
    """Examples of an Arrow file, without references, created on access."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        file = pa.ipc.open_file(pa.memory_map(str(path)))
        batches = [file.get_batch(i) for i in range(file.num_record_batches)]
        # Views into the mapped file.
        self._batches = [
            [(column.offsets.to_numpy(), column.values.to_numpy()) for column in batch.columns] for batch in batches
        ]
        self._count = sum(batch.num_rows for batch in batches)

    def __len__(self) -> int:
        return self._count

    def source_length(self, index: int) -> int:
        """Return the source length of one example without creating it."""
        offsets, _ = self._batches[index // ROWS][0]
        return int(offsets[index % ROWS + 1] - offsets[index % ROWS])

    def __getitem__(self, index: int) -> Example:
        row = index % ROWS
        source, target = (_ids(*column, row) for column in self._batches[index // ROWS])
        return Example(source, target)


def _ids(offsets: np.ndarray, values: np.ndarray, row: int) -> Ids:
    return tuple(values[offsets[row] : offsets[row + 1]].tolist())
