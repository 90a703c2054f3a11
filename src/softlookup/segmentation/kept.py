"""Reuse the vocabularies of a finished run."""

from collections.abc import Iterable
from typing import Any

from softlookup.contract import Segmentation
from softlookup.text.vocabulary import Vocabulary, restored


class Kept(Segmentation):
    """Restore both vocabularies from their `state()`; nothing is learnt."""

    def __init__(self, source: dict[str, Any], target: dict[str, Any]) -> None:
        self.source = source
        self.target = target

    def learn(
        self,
        pairs: Iterable[tuple[str, str]],  # noqa: ARG002
        names: tuple[str, str],  # noqa: ARG002
        longest: int,  # noqa: ARG002
    ) -> tuple[Vocabulary, Vocabulary]:
        source = restored(self.source)
        return source, source if self.target == self.source else restored(self.target)
