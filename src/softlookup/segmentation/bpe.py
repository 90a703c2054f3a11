"""Segment text by byte pair encoding."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from softlookup.segmentation.subwords import Subwords

if TYPE_CHECKING:
    from tokenizers import Tokenizer


class Bpe(Subwords):
    """Byte pair encoding (Sennrich et al. 2016) over bytes: merge the most frequent adjacent pieces within words, until
    the vocabulary is full or no pair occurs twice. Vocabulary and errors as in `Subwords`.
    """

    def _trained(self, lines: Iterator[str], size: int) -> Tokenizer:
        from tokenizers import Tokenizer, models, pre_tokenizers, trainers

        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        trainer = trainers.BpeTrainer(vocab_size=size, min_frequency=2, initial_alphabet=alphabet, show_progress=False)
        tokenizer.train_from_iterator(lines, trainer)
        return tokenizer
