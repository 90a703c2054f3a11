"""The rules of the grammar: each makes a German phrase of an exact number of tokens, its English, and their links."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import count
from typing import NamedTuple, TypeVar

from softlookup.task.grammar_lexicon import (
    ADJECTIVES,
    ADVERBIALS,
    AUXILIARIES,
    COLUMNS,
    DETERMINERS,
    MODALS,
    NEAR,
    NOUNS,
    PRONOUNS,
    RELATIVE,
    STATIC,
    SUBORDINATORS,
    VERBS,
    Adverbial,
    Noun,
    Verb,
    determiner,
)
from softlookup.task.synthetic import Uniform

T = TypeVar("T")
Links = tuple[int, ...]
German = list[tuple[str, int]]  # word, and a number that names it in links
English = list[tuple[str, Links, Links]]  # word, sure links, links that are possible besides

MAIN, FRONTED, INVERTED, FINAL = "main", "fronted", "inverted", "final"
SIMPLE = 14  # tokens up to which a clause may stand alone
LARGEST = 9  # tokens of a noun phrase
LONGEST_CLAUSE = 12  # tokens of a subordinate clause


class Phrase(NamedTuple):
    """A phrase in both languages. `plural` is the number of a noun phrase."""

    german: German
    english: English
    plural: bool = False


class Verbs(NamedTuple):
    """The verb of a clause: the finite part in second position and the rest at the end, or all of it at the end."""

    finite: German
    rest: German
    english: English


@cache
def _nouns(kinds: str) -> tuple[Noun, ...]:
    return tuple(noun for noun in NOUNS if noun.kind in kinds)


@cache
def _adjectives(kind: str) -> tuple[tuple[str, str], ...]:
    return tuple((stem, english) for stem, english, kinds in ADJECTIVES if kind in kinds)


@cache
def _verbs(frame: str) -> tuple[Verb, ...]:
    return tuple(verb for verb in VERBS if verb.frame == frame)


@cache
def _governing(kind: str) -> tuple[Verb, ...]:
    """Verbs with one object that a noun of this kind can be: those of object relative clauses."""
    return tuple(verb for verb in VERBS if verb.frame in ("a", "d", "p") and kind in verb.objects)


FRAMES = ("", "a", "a", "a", "d", "da", "p", "p", "c")
TENSES = ("present", "present", "past", "modal")
MASCULINE = tuple(noun for noun in NOUNS if noun.kind == "p" and noun.gender == "m")


class Derivation:
    """One sentence in the making. All randomness comes from `uniform`.

    `last` of a rule says that punctuation follows the phrase, so that a subordinate clause at its end needs no closing
    comma of its own. With every token counted ahead, a rule meets its length exactly and nothing is thrown away.

    A German sentence has one translation: subjects precede objects, prepositions of verbs never occur with the same
    case in noun phrases, and the subject of an object relative clause is a pronoun or masculine, hence no accusative.
    """

    def __init__(self, uniform: Uniform) -> None:
        self.uniform = uniform
        self._next = count().__next__

    def sentence(self, size: int) -> Phrase:
        """A sentence of `size` ≥ 3 tokens, its full stop among them."""
        body = self.body(size - 1, True)
        stop = self._token(".")
        return Phrase([*body.german, stop], [*body.english, (".", (), (stop[1],))])

    def body(self, size: int, last: bool) -> Phrase:
        """One or several clauses, coordinated, or subordinated behind or ahead. `size` ≥ 2."""
        if size < 8 or (size <= SIMPLE and self.uniform() < 0.5):
            return self.clause(size, self._pick((MAIN, MAIN, FRONTED)), last)
        kind = int(self.uniform() * 4)
        if kind == 0 and size - 2 <= SIMPLE + LONGEST_CLAUSE:
            return self._condition(size, last)
        if kind <= 1:
            return self._reason(size, last)
        return self._coordination(size, last, comma=kind == 2)

    def _coordination(self, size: int, last: bool, comma: bool) -> Phrase:
        rest = size - 1 - comma
        first = self._between(max(3, rest // 3), rest - max(3, rest // 3))
        left = self.body(first, comma)
        mark = [self._token(",")] if comma else []
        word = self._token("aber" if comma else "und")
        right = self.body(rest - first, last)
        english: English = [(",", (), (mark[0][1],)), ("but", (word[1],), ())] if comma else [("and", (word[1],), ())]
        return Phrase([*left.german, *mark, word, *right.german], [*left.english, *english, *right.english])

    def _reason(self, size: int, last: bool) -> Phrase:
        """A, weil B: the verb of B at its end."""
        rest = size - 2 - (not last)
        second = self._between(2, min(LONGEST_CLAUSE, rest - 3))
        left = self.body(rest - second, True)
        right = self._subordinate(self._pick(SUBORDINATORS), second, last)
        return Phrase(left.german + right.german, left.english + right.english)

    def _condition(self, size: int, last: bool) -> Phrase:
        """Wenn A, B: the verb of B ahead of its subject."""
        rest = size - 2
        first = self._between(max(2, rest - SIMPLE), min(LONGEST_CLAUSE, rest - 2))
        german, english = self._pick(SUBORDINATORS)
        word, comma = self._token(german), self._token(",")
        left = self.clause(first, FINAL, True)
        right = self.clause(rest - first, INVERTED, last)
        return Phrase(
            [word, *left.german, comma, *right.german],
            [(english, (word[1],), ()), *left.english, (",", (), (comma[1],)), *right.english],
        )

    def _subordinate(self, words: tuple[str, str], size: int, last: bool) -> Phrase:
        """Comma, conjunction and a verb-final clause of `size` tokens; a closing comma unless `last`."""
        opening, word = self._token(","), self._token(words[0])
        clause = self.clause(size, FINAL, True)
        closing = [] if last else [self._token(",")]
        return Phrase([opening, word, *clause.german, *closing], [(words[1], (word[1],), ()), *clause.english])

    def clause(self, size: int, order: str, last: bool, subject: Phrase | None = None) -> Phrase:
        """A clause of `size` tokens. `subject` is a relative pronoun, where the clause is relative to its subject."""
        while True:
            verb = self._pick(_verbs(self._pick(FRAMES)))
            tense = self._pick(TENSES)
            adverbial = self._pick(ADVERBIALS[tense]) if order == FRONTED or self.uniform() < 0.25 else None
            slots = [1] if subject is None else []
            slots += [2] * (len(verb.frame) if verb.frame != "p" else 1)
            left = size - self._verb_size(verb, tense, order) - (len(adverbial.german) if adverbial else 0)
            left -= (verb.frame == "p") + (2 - last if verb.frame == "c" else 0) + (subject is not None)
            left -= verb.frame == "c"
            room = LARGEST * len(slots) + (LONGEST_CLAUSE - LARGEST if verb.frame == "c" else 0)
            if sum(slots) <= left <= room and (slots or left == 0):
                break
        sizes = self._split(left, slots)
        # A subject ends a clause only where nothing but it follows the verb.
        alone = order == INVERTED and last and self._verb_size(verb, tense, order) == 1
        ends = alone and not verb.frame and adverbial is None
        ends |= order == FRONTED and last and self._verb_size(verb, tense, order) == 1 and not verb.frame
        subject = subject or self._subject(sizes.pop(0), ends)
        closed = last and order != FINAL and self._verb_size(verb, tense, order) == 1
        objects = [] if verb.frame in ("", "c") else self._objects(verb, sizes, closed)
        clause = self._subordinate(("dass", "that"), sizes[0], last) if verb.frame == "c" else Phrase([], [])
        return self._assemble(order, subject, self._verb(verb, tense, order, subject.plural), objects, adverbial, clause)

    def _assemble(
        self,
        order: str,
        subject: Phrase,
        verbs: Verbs,
        objects: Sequence[Phrase],
        adverbial: Adverbial | None,
        clause: Phrase,
    ) -> Phrase:
        """German and English order of the parts."""
        time = self._adverbial(adverbial)
        german = [token for part in objects for token in part.german]
        english = [token for part in objects for token in part.english]
        if order == FRONTED:
            source = [*time.german, *verbs.finite, *subject.german, *german, *verbs.rest, *clause.german]
            return Phrase(source, [*time.english, *subject.english, *verbs.english, *english, *clause.english])
        if order == MAIN:
            source = [*subject.german, *verbs.finite, *time.german, *german, *verbs.rest, *clause.german]
        else:
            source = [*verbs.finite, *subject.german, *time.german, *german, *verbs.rest, *clause.german]
        return Phrase(source, [*subject.english, *verbs.english, *english, *time.english, *clause.english])

    def _objects(self, verb: Verb, sizes: list[int], closed: bool) -> list[Phrase]:
        if verb.frame == "p":
            return [self._prepositional(verb, self.noun_phrase(sizes[0], verb.case, verb.objects, closed))]
        if verb.frame == "da":
            given = self.noun_phrase(sizes[0], "dat", "p", False)
            return [given, self.noun_phrase(sizes[1], "acc", verb.objects, closed)]
        return [self.noun_phrase(sizes[0], "acc" if verb.frame == "a" else "dat", verb.objects, closed)]

    def _prepositional(self, verb: Verb, phrase: Phrase) -> Phrase:
        word = self._token(verb.preposition)
        english: English = [(w, (word[1],), ()) for w in verb.english_preposition]
        return Phrase([word, *phrase.german], [*english, *phrase.english])

    def _adverbial(self, adverbial: Adverbial | None) -> Phrase:
        if adverbial is None:
            return Phrase([], [])
        german = [self._token(word) for word in adverbial.german]
        links = [(word, (german[place][1],), sure) for word, place, sure in adverbial.english]
        return Phrase(german, [(word, link if sure else (), link) for word, link, sure in links])

    @staticmethod
    def _verb_size(verb: Verb, tense: str, order: str) -> int:
        return 2 if tense != "present" or (verb.particle and order != FINAL) else 1

    def _verb(self, verb: Verb, tense: str, order: str, plural: bool) -> Verbs:
        """Finite form, and what stands at the end: particle, participle or infinitive."""
        english: English
        if tense == "present":
            words = verb.base if plural else verb.third
            if verb.particle and order != FINAL:
                finite, end = [self._token(verb.finite[plural])], [self._token(verb.particle)]
            else:
                finite, end = [self._token(verb.particle + verb.finite[plural])], []
            links = tuple(k for _, k in finite + end)
            english = [(word, links, ()) for word in words]
        elif tense == "past":
            finite, end = [self._token(AUXILIARIES[verb.auxiliary][plural])], [self._token(verb.participle)]
            english = [(word, (end[0][1],), (finite[0][1],)) for word in verb.past]
        else:
            german, modal = self._pick(MODALS)
            finite, end = [self._token(german[plural])], [self._token(verb.particle + verb.finite[1])]
            english = [(modal[plural][0], (finite[0][1],), ())]
            english += [(word, (), (finite[0][1], end[0][1])) for word in modal[plural][1:]]
            english += [(word, (end[0][1],), ()) for word in verb.base]
        return Verbs([], end + finite, english) if order == FINAL else Verbs(finite, end, english)

    def _subject(self, size: int, last: bool) -> Phrase:
        if size > 1:
            return self.noun_phrase(size, "nom", "p", last)
        german, english, plural = self._pick(PRONOUNS)
        word = self._token(german)
        return Phrase([word], [(english, (word[1],), ())], plural)

    def noun_phrase(self, size: int, case: str, kinds: str, last: bool) -> Phrase:
        """A noun with its article, and adjectives, a place, a second noun or a relative clause. `size` ≥ 2."""
        if size < 5:
            return self._head(size, case, self._pick(_nouns(kinds)))
        way = int(self.uniform() * 3)
        if way == 0:
            return self._pair(size, case, kinds, last)
        noun = self._pick(_nouns(kinds))
        # Behind a pair of adjectives and the noun, a relative clause would outgrow the phrase.
        head_size = 2 if self.uniform() < 0.6 or size < 7 else 3
        left = size - head_size
        if way == 1 and left - 1 - (not last) >= 3:
            head, column = self._headed(head_size, case, noun)
            relative = self._relative(left - 1 - (not last), noun.kind, column)
            opening, closing = self._token(","), [] if last else [self._token(",")]
            return Phrase(
                [*head.german, opening, *relative.german, *closing], head.english + relative.english, head.plural
            )
        head = self._head(head_size, case, noun)
        place = self._place(left, last)
        return Phrase(head.german + place.german, head.english + place.english, head.plural)

    def _pair(self, size: int, case: str, kinds: str, last: bool) -> Phrase:
        first = self._between(2, size - 3)
        left = self.noun_phrase(first, case, kinds, False)
        word = self._token("und")
        right = self.noun_phrase(size - 1 - first, case, kinds, last)
        return Phrase(
            [*left.german, word, *right.german], [*left.english, ("and", (word[1],), ()), *right.english], True
        )

    def _place(self, size: int, last: bool) -> Phrase:
        kind = self._pick("iion")
        german, english = self._pick(STATIC[kind] or NEAR) if self.uniform() < 0.6 else self._pick(NEAR)
        word = self._token(german)
        where = self.noun_phrase(size - 1, "dat", kind, last)
        return Phrase([word, *where.german], [*((w, (word[1],), ()) for w in english), *where.english])

    def _relative(self, size: int, kind: str, column: int) -> Phrase:
        """The relative clause without its commas, to a noun of this kind in this gender or number. `size` ≥ 3."""
        if kind == "p" and (size > 8 or self.uniform() < 0.5):
            word = self._token(RELATIVE["nom"].split()[column])
            pronoun = Phrase([word], [("who", (), (word[1],))], column == 3)
            return self.clause(size, FINAL, True, pronoun)
        while True:
            verb = self._pick(_governing(kind))
            tense = self._pick(TENSES)
            adverbial = self._pick(ADVERBIALS[tense]) if self.uniform() < 0.3 else None
            left = size - 1 - (verb.frame == "p") - self._verb_size(verb, tense, FINAL)
            left -= len(adverbial.german) if adverbial else 0
            if 1 <= left <= 4:
                break
        case = {"a": "acc", "d": "dat", "p": verb.case}[verb.frame]
        word = self._token(RELATIVE[case].split()[column])
        subject = self._subject(1, False) if left == 1 else self._head(left, "nom", self._pick(MASCULINE), singular=True)
        verbs, time = self._verb(verb, tense, FINAL, subject.plural), self._adverbial(adverbial)
        empty = self._prepositional(verb, Phrase([], [])) if verb.frame == "p" else Phrase([], [])
        return Phrase(
            [*empty.german, word, *subject.german, *time.german, *verbs.rest],
            [
                ("who" if kind == "p" else "that", (), (word[1],)),
                *subject.english,
                *verbs.english,
                *empty.english,
                *time.english,
            ],
        )

    def _head(self, size: int, case: str, noun: Noun, singular: bool = False) -> Phrase:
        return self._headed(size, case, noun, singular)[0]

    def _headed(self, size: int, case: str, noun: Noun, singular: bool = False) -> tuple[Phrase, int]:
        """Article, up to two adjectives and a noun; and its column in the tables of forms."""
        stem, articles, sure, endings, has_plural = self._pick(DETERMINERS)
        plural = has_plural and not singular and self.uniform() < 0.3
        column = 3 if plural else COLUMNS.index(noun.gender)
        article = self._token(determiner(stem, case, column))
        german: German = [article]
        english: English = []
        for stem, adjective in self._distinct(_adjectives(noun.kind), size - 2):
            german.append(self._token(stem + ENDINGS[endings, case][column]))
            english.append((adjective, (german[-1][1],), ()))
        word = self._token((noun.dative_plural if case == "dat" else noun.plural) if plural else noun.singular)
        german.append(word)
        english += [(w, (word[1],), ()) for w in noun.english[plural]]
        the = articles[plural]
        if the == "a" and english[0][0][0] in "aeiou":
            the = "an"
        link = (article[1],)
        english.insert(0, (the, link if sure else (), link))
        return Phrase(german, english, plural), column

    def _token(self, word: str) -> tuple[str, int]:
        return word, self._next()

    def _pick(self, options: Sequence[T]) -> T:
        return options[int(self.uniform() * len(options))]

    def _distinct(self, options: Sequence[T], amount: int) -> list[T]:
        """Up to two different ones."""
        if amount < 2:
            return [self._pick(options)] if amount else []
        first = int(self.uniform() * len(options))
        second = (first + 1 + int(self.uniform() * (len(options) - 1))) % len(options)
        return [options[first], options[second]]

    def _between(self, low: int, high: int) -> int:
        return low + int(self.uniform() * (high - low + 1))
