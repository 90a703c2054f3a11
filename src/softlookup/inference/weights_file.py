"""Write attention weights to a file, with the tokens of both sides and the weights of each head.

FILE.npz     for sentence n the arrays source_n (S,) and target_n (T,) of text, weights_n (T, S) and, where the
             attention has heads, heads_n (H, T, S), whose mean is weights_n; float32; loads without pickle
FILE.jsonl   a line for each sentence: {"line": n, "source": [S], "target": [T], "weights": [T][S], "heads": [H][T][S]}

Rows are target tokens, columns source tokens, the end of sentence among both. A sentence without tokens is left out.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from softlookup.contract import Batch, Example
from softlookup.data.collate import collate
from softlookup.errors import UserError, quote
from softlookup.model.seq2seq import Seq2Seq
from softlookup.system import atomic_files

KINDS = (".npz", ".jsonl")


class TokenWeights(Protocol):
    """Describe weights (T, S) with the tokens of both sides, and those of each head (H, T, S), None without heads."""

    @property
    def weights(self) -> np.ndarray: ...
    @property
    def source(self) -> Sequence[str]: ...
    @property
    def target(self) -> Sequence[str]: ...
    @property
    def heads(self) -> np.ndarray | None: ...


def check(path: Path) -> None:
    """Raise UserError for a name with another suffix, and if its folder does not exist."""
    if path.suffix not in KINDS:
        raise UserError(f"weights={quote(path)}: expected a name that ends with {' or '.join(KINDS)}")
    if not path.absolute().parent.is_dir():
        raise UserError(f"weights={quote(path)}: there is no folder {path.absolute().parent}")


class File:
    """Write sentences to a file one by one, without holding them in memory."""

    def __init__(self, temporary: Path, kind: str, opened: ExitStack) -> None:
        self.count = 0
        if kind == ".npz":
            self._archive: zipfile.ZipFile | None = opened.enter_context(
                zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED)
            )
        else:
            self._archive = None
            self._lines = opened.enter_context(temporary.open("w", encoding="utf-8", newline="\n"))

    def add(self, number: int, sentence: TokenWeights) -> None:
        """Add one sentence, by its number, which must be unique."""
        self.count += 1
        arrays = {"weights": sentence.weights} | ({} if sentence.heads is None else {"heads": sentence.heads})
        rounded = {name: np.asarray(values, dtype=np.float32) for name, values in arrays.items()}
        sides = {"source": list(sentence.source), "target": list(sentence.target)}
        if self._archive is None:
            row = {"line": number, **sides, **{name: values.tolist() for name, values in rounded.items()}}
            self._lines.write(json.dumps(row, ensure_ascii=False) + "\n")
            return
        for name, values in {
            **{side: np.asarray(tokens, dtype=str) for side, tokens in sides.items()},
            **rounded,
        }.items():
            with self._archive.open(f"{name}_{number}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, values, allow_pickle=False)


@contextmanager
def written(path: Path) -> Iterator[File]:
    """Yield the file to add sentences to; it appears complete when the block ends, and not at all if the block raises.

    Raises what `check` raises, and OSError with the path.
    """
    check(path)
    with atomic_files.written(path) as temporary, ExitStack() as opened:
        yield File(temporary, path.suffix, opened)


@torch.no_grad()
def by_head(model: Seq2Seq, batch: Batch) -> Tensor | None:
    """Return the weights (B, H, T, S) of each head under teacher forcing; the model's weights are their mean over H.

    They are those of the decoder's last lookup: of a transformer, its last layer's. None without heads.
    """
    lookups = model.teach(batch, weights=True).lookups
    return lookups[-1] if lookups and lookups[-1].size(1) > 1 else None


def of_heads(model: Seq2Seq, pairs: Sequence[tuple[Sequence[int], Sequence[int]]]) -> list[np.ndarray] | None:
    """Return the weights (H, T, S) of each head for each pair of ids without EOS; T and S include it. None without
    heads.

    All pairs form one batch: the caller limits its size.
    """
    device = model.output.weight.device
    read = by_head(model, collate([Example(tuple(source), tuple(target)) for source, target in pairs]).to(device))
    if read is None:
        return None
    return [
        heads[:, : len(target) + 1, : len(source) + 1].cpu().numpy()
        for heads, (source, target) in zip(read, pairs, strict=True)
    ]
