"""Fertility task: a source symbol yields zero, one or several target symbols."""

from softlookup.contract import Example
from softlookup.errors import UserError
from softlookup.task.synthetic import FIRST, Strings, Uniform, letters, only

FERTILITIES = 4  # 0, 1, 2, 3


class Fertility(Strings):
    """Symbol number i (a = 0) occurs i mod 4 times in the target: a never, b once, c twice, d three times, e never, …

    A deterministic form of the fertility of Brown et al. 1993 (IBM model 3). A source has at least one symbol of
    fertility above 0. Raises UserError for fewer than 4 symbols.
    """

    def __init__(self, symbols: int, shortest: int, longest: int) -> None:
        if symbols < FERTILITIES:
            raise UserError(f"task.symbols={symbols}: expected at least {FERTILITIES}, one for each fertility")
        self._spoken = [FIRST + i for i in range(symbols) if i % FERTILITIES]
        super().__init__(letters(symbols), letters(symbols), shortest, longest)

    def draw(self, uniform: Uniform, length: int) -> tuple[int, ...]:
        source = super().draw(uniform, length)
        if not any((symbol - FIRST) % FERTILITIES for symbol in source):
            place, spoken = int(uniform() * length), self._spoken[int(uniform() * len(self._spoken))]
            source = (*source[:place], spoken, *source[place + 1 :])
        return source

    def sources(self, length: int) -> float:
        return super().sources(length) - (self._symbols - len(self._spoken)) ** length

    def example(self, source: tuple[int, ...]) -> Example:
        places = [s for s, symbol in enumerate(source) for _ in range((symbol - FIRST) % FERTILITIES)]
        gold = tuple(map(only, places))
        return Example(source, tuple([source[s] for s in places]), gold, gold)
