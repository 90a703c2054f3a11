"""Segment text by a unigram language model of pieces."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from softlookup.segmentation.subwords import Subwords

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# The trainer sums over words in an order that is random per process: its log-probabilities differ between runs by 4e-11
# (measured), and those of unseen bytes by up to 256 steps of 0.0001 above the lowest. Rounding to three digits, and one
# value for the unseen bytes, make them equal in every run.
_DIGITS = 3
_STEPS = 0.03


class Unigram(Subwords):
    """The most probable segmentation under a unigram model of pieces (Kudo 2018); a piece is a sequence of bytes within
    a word. Vocabulary and errors as in `Subwords`.
    """

    def _trained(self, lines: Iterator[str], size: int) -> Tokenizer:
        from tokenizers import Tokenizer, models, pre_tokenizers, trainers

        tokenizer = Tokenizer(models.Unigram())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        trainer = trainers.UnigramTrainer(vocab_size=size, initial_alphabet=alphabet, show_progress=False)
        tokenizer.train_from_iterator(lines, trainer)
        tokenizer.model = models.Unigram(_settled(json.loads(tokenizer.to_str())["model"]["vocab"], size))
        return tokenizer


def _settled(scores: list[tuple[str, float]], size: int) -> list[tuple[str, float]]:
    """Return the bytes and the most probable other pieces, at most `size`, most probable first, with scores rounded so
    that they are equal in every run.

    The trainer itself returns more than `size` pieces where `size` has room only for the bytes.
    """
    lowest = min(score for _, score in scores)
    settled = [
        (piece, round(lowest if len(piece) == 1 and score < lowest + _STEPS else score, _DIGITS))
        for piece, score in scores
    ]
    settled.sort(key=lambda scored: (len(scored[0]) > 1, -scored[1], scored[0]))
    return sorted(settled[:size], key=lambda scored: (-scored[1], scored[0]))
