"""Select task: copy the marked symbols, skip the others."""

from softlookup.contract import Example
from softlookup.task.synthetic import FIRST, Strings, Uniform, letters, only


class Select(Strings):
    """The target has the marked symbols of the source, in order and without their marks.

    Every symbol exists unmarked (`a`) and marked (`a*`), so that a target position comes from one source position.
    Each symbol is marked with probability 1/2, and at least one per source.
    """

    def __init__(self, symbols: int, shortest: int, longest: int) -> None:
        self.symbols = symbols
        tokens = letters(symbols)
        super().__init__([*tokens, *(f"{token}*" for token in tokens)], tokens, shortest, longest)

    def draw(self, uniform: Uniform, length: int) -> tuple[int, ...]:
        source = super().draw(uniform, length)
        if max(source) < FIRST + self.symbols:
            place = int(uniform() * length)
            source = (*source[:place], source[place] + self.symbols, *source[place + 1 :])
        return source

    def sources(self, length: int) -> float:
        return super().sources(length) - self.symbols**length

    def example(self, source: tuple[int, ...]) -> Example:
        marked = FIRST + self.symbols
        places = [position for position, token in enumerate(source) if token >= marked]
        gold = tuple(map(only, places))
        return Example(source, tuple([source[position] - self.symbols for position in places]), gold, gold)
