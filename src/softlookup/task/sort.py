"""Sort task: each source position depends on all symbols of the source."""

from softlookup.contract import Example
from softlookup.task.synthetic import Strings, letters


class Sort(Strings):
    """The target has the symbols of the source in the order of the alphabet.

    Every occurrence of a symbol is a correct position to read it from, so all occurrences are sure gold. Alignment
    accuracy accepts any of them; AER requires all links, so it is above 0 wherever a symbol repeats.
    """

    def __init__(self, symbols: int, shortest: int, longest: int) -> None:
        super().__init__(letters(symbols), letters(symbols), shortest, longest)

    def example(self, source: tuple[int, ...]) -> Example:
        places: dict[int, list[int]] = {}
        for position, symbol in enumerate(source):
            places.setdefault(symbol, []).append(position)
        links = {symbol: frozenset(positions) for symbol, positions in places.items()}
        target = tuple(sorted(source))
        gold = tuple([links[symbol] for symbol in target])
        return Example(source, target, gold, gold)
