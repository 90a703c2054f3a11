"""Build the parts of grammar rules: words with links, noun heads, verb forms."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import combinations, count
from typing import NamedTuple, TypeVar

from softlookup.task.grammar_lexicon import (
    ADJECTIVES,
    AUXILIARIES,
    COLUMNS,
    DETERMINERS,
    MODALS,
    NOUNS,
    PRONOUNS,
    Adverbial,
    Noun,
    Verb,
)
from softlookup.task.synthetic import Uniform

AGES = {"alt", "neu", "jung"}  # a noun has at most one of these adjectives

T = TypeVar("T")
Links = tuple[int, ...]
German = list[tuple[str, int]]  # word, and its number in links
English = list[tuple[str, Links, Links]]  # word, sure links, additional possible links


class Phrase(NamedTuple):
    """A phrase in both languages; for a noun phrase, `plural` is its number and `column` the column of its forms."""

    german: German
    english: English
    plural: bool = False
    column: int = 0


class Verbs(NamedTuple):
    """The finite verb in second position and the rest at the end; in a verb-final clause everything is in the rest."""

    finite: German
    rest: German
    english: English


@cache
def nouns(kinds: str) -> tuple[Noun, ...]:
    """Return the nouns of these kinds."""
    return tuple(noun for noun in NOUNS if noun.kind in kinds)


@cache
def _adjectives(kind: str, amount: int) -> tuple[tuple[tuple[str, str], ...], ...]:
    """Return all ways to put `amount` adjectives (stem, English) before a noun of this kind."""
    options = [(stem, english) for stem, english, kinds in ADJECTIVES if kind in kinds]
    rows = combinations(options, amount)
    return tuple(row for row in rows if sum(stem in AGES for stem, _ in row) < 2)


def verb_size(verb: Verb, tense: str, final: bool) -> int:
    """Return the number of German tokens of the verb; a particle is a separate token unless the clause is
    verb-final."""
    return 2 if tense != "present" or (verb.particle and not final) else 1


class Words:
    """Generator of words and short phrases for one sentence. All randomness comes from `uniform`."""

    def __init__(self, uniform: Uniform) -> None:
        self.uniform = uniform
        self._next = count().__next__

    def token(self, word: str) -> tuple[str, int]:
        """Return a German token with a number that is new in the sentence."""
        return word, self._next()

    def pick(self, options: Sequence[T]) -> T:
        return options[int(self.uniform() * len(options))]

    def between(self, low: int, high: int) -> int:
        """Return a whole number, both bounds included."""
        return low + int(self.uniform() * (high - low + 1))

    def pronoun(self) -> Phrase:
        """Return er or wir, which cannot be mistaken for an object."""
        german, english, plural = self.pick(PRONOUNS)
        word = self.token(german)
        return Phrase([word], [(english, (word[1],), ())], plural)

    def head(self, size: int, case: str, noun: Noun, singular: bool = False) -> Phrase:
        """Return a determiner, `size` - 2 adjectives (0 to 2) and the noun, in agreement."""
        determiner = self.pick(DETERMINERS)
        plural = not singular and self.uniform() < 0.4 and len(determiner.forms[case]) == len(COLUMNS)
        column = len(COLUMNS) - 1 if plural else COLUMNS.index(noun.gender)
        article = self.token(determiner.forms[case][column])
        german: German = [article]
        english: English = []
        for stem, adjective in self.pick(_adjectives(noun.kind, size - 2)):
            word = self.token(stem + determiner.endings[case][column])
            german.append(word)
            english.append((adjective, (word[1],), ()))
        word = self.token((noun.dative_plural if case == "dat" else noun.plural) if plural else noun.singular)
        german.append(word)
        english += [(part, (word[1],), ()) for part in noun.english[plural]]
        translation = determiner.english[plural]
        if translation == "a" and english[0][0][0] in "aeiou":
            translation = "an"
        link = (article[1],)
        english.insert(0, (translation, link if determiner.sure else (), link))
        return Phrase(german, english, plural, column)

    def verb(self, verb: Verb, tense: str, final: bool, plural: bool) -> Verbs:
        """Return the forms of a verb that agree with its subject.

        Every English word has sure links to particle and stem, and a possible link to the auxiliary of the perfect.
        """
        english: English
        if tense == "present":
            separate = verb.particle and not final
            stem = verb.finite[plural]
            finite = [self.token(stem if separate else verb.particle + stem)]
            end = [self.token(verb.particle)] if separate else []
            links = tuple([k for _, k in finite + end])
            english = [(word, links, ()) for word in (verb.base if plural else verb.third)]
        elif tense == "past":
            finite, end = [self.token(AUXILIARIES[verb.auxiliary][plural])], [self.token(verb.participle)]
            english = [(word, (end[0][1],), (finite[0][1],)) for word in verb.past]
        else:
            german, modal = self.pick(MODALS)
            finite, end = [self.token(german[plural])], [self.token(verb.particle + verb.finite[True])]
            english = [(modal[plural][0], (finite[0][1],), ())]
            english += [(word, (), (finite[0][1], end[0][1])) for word in modal[plural][1:]]
            english += [(word, (end[0][1],), ()) for word in verb.base]
        return Verbs([], end + finite, english) if final else Verbs(finite, end, english)

    def governed(self, verb: Verb, phrase: Phrase) -> Phrase:
        """Return the verb's preposition followed by its object."""
        word = self.token(verb.preposition)
        english: English = [(part, (word[1],), ()) for part in verb.english_preposition]
        return Phrase([word, *phrase.german], [*english, *phrase.english])

    def time(self, adverbial: Adverbial | None) -> Phrase:
        """Return the adverbial, or an empty phrase."""
        if adverbial is None:
            return Phrase([], [])
        german = [self.token(word) for word in adverbial.german]
        links = [(word, (german[place][1],), sure) for word, place, sure in adverbial.english]
        return Phrase(german, [(word, link if sure else (), link) for word, link, sure in links])
