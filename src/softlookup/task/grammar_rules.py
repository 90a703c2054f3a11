"""Define the grammar rules: each generates a German phrase of an exact length, its translation, and their links."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from softlookup.task.grammar_lexicon import ADVERBIALS, NOUNS, PLACES, RELATIVE, SUBORDINATORS, VERBS, Adverbial, Verb
from softlookup.task.grammar_words import Phrase, Verbs, Words, nouns, verb_size

SIMPLE = 14  # longest single main clause, in tokens
SUBORDINATE = 12  # longest subordinate clause
NOUN_PHRASE = 9  # longest subject or object
MAIN, FRONTED, INVERTED, FINAL = "main", "fronted", "inverted", "final"

TENSES = ("present", "present", "past", "modal")
MASCULINE = tuple(noun for noun in NOUNS if noun.kind == "p" and noun.gender == "m")


class ClausePlan(NamedTuple):
    """A verb, its tense, an adverbial, and the number of tokens left for subject and objects."""

    verb: Verb
    tense: str
    adverbial: Adverbial | None
    left: int


def _adverbials(tense: str, must: bool) -> tuple[Adverbial | None, ...]:
    return ADVERBIALS[tense] if must else (*(None,) * 6, *ADVERBIALS[tense])


def _slots(verb: Verb, relative: bool) -> tuple[list[int], list[int]]:
    """Return the least and the most tokens of the subject (unless the clause is relative to it), the objects and the
    dass-clause."""
    least = ([] if relative else [1]) + [2] * len(verb.frame)
    most = [NOUN_PHRASE] * len(least)
    if verb.frame == "c":
        most[-1] = SUBORDINATE
    return least, most


@cache
def _plans(size: int, order: str, last: bool, relative: bool) -> tuple[ClausePlan, ...]:
    """Return all plans for a clause of `size` tokens."""
    plans = []
    for verb in VERBS:
        least, most = _slots(verb, relative)
        for tense in TENSES:
            for adverbial in _adverbials(tense, must=order == FRONTED):
                fixed = verb_size(verb, tense, order == FINAL) + (len(adverbial.german) if adverbial else 0) + relative
                # The preposition; the commas of a dass-clause and its conjunction.
                fixed += {"p": 1, "c": 3 - last}.get(verb.frame, 0)
                if sum(least) <= size - fixed <= sum(most):
                    plans.append(ClausePlan(verb, tense, adverbial, size - fixed))
    return tuple(plans)


@cache
def _object_relatives(size: int, kind: str) -> tuple[ClausePlan, ...]:
    """Return all plans for a clause relative to its object, a noun of this kind, with a subject of up to four
    tokens."""
    plans = []
    for verb in VERBS:
        if verb.frame in ("a", "d", "p") and kind in verb.objects:
            for tense in TENSES:
                for adverbial in _adverbials(tense, must=False):
                    fixed = 1 + (verb.frame == "p") + verb_size(verb, tense, final=True)
                    left = size - fixed - (len(adverbial.german) if adverbial else 0)
                    if 1 <= left <= 4:
                        plans.append(ClausePlan(verb, tense, adverbial, left))
    return tuple(plans)


class Derivation(Words):
    """Generator of one sentence.

    Tokens are budgeted in advance, so every rule meets its length exactly and nothing is rejected. `last` says that
    punctuation follows the phrase, so that a subordinate clause at its end needs no closing comma.

    Each German sentence has exactly one translation: subjects precede objects; no preposition of a verb occurs with the
    same case in a noun phrase; the subject of an object relative clause is a pronoun or masculine, hence not an
    accusative.
    """

    def sentence(self, size: int) -> Phrase:
        """Return a sentence of `size` ≥ 4 tokens, including the full stop."""
        body = self._body(size - 1, True)
        stop = self.token(".")
        return Phrase([*body.german, stop], [*body.english, (".", (), (stop[1],))])

    def _body(self, size: int, last: bool) -> Phrase:
        """Return one main clause, or several clauses, coordinated or subordinated. `size` ≥ 3."""
        if size < 8 or (size <= SIMPLE and self.uniform() < 0.5):
            return self._clause(size, self.pick((MAIN, MAIN, FRONTED)), last)
        kind = self.between(0, 3)
        if kind == 0 and size - 2 <= SIMPLE + SUBORDINATE:
            return self._condition(size, last)
        if kind <= 1:
            return self._reason(size, last)
        return self._coordination(size, last, comma=kind == 2)

    def _coordination(self, size: int, last: bool, comma: bool) -> Phrase:
        """Return two coordinated clauses: A und B; A, aber B."""
        rest = size - 1 - comma
        first = self.between(max(3, rest // 3), rest - max(3, rest // 3))
        left = self._body(first, comma)
        mark = [self.token(",")] if comma else []
        word = self.token("aber" if comma else "und")
        right = self._body(rest - first, last)
        english = [*left.english, *((",", (), (k,)) for _, k in mark), ("but" if comma else "and", (word[1],), ())]
        return Phrase([*left.german, *mark, word, *right.german], english + right.english)

    def _reason(self, size: int, last: bool) -> Phrase:
        """Return a main clause and a subordinate one: A, weil B. The verb of B is at its end."""
        rest = size - 3 + last
        second = self.between(2, min(SUBORDINATE, rest - 3))
        left = self._body(rest - second, True)
        right = self._subordinate(self.pick(SUBORDINATORS), second, last)
        return Phrase(left.german + right.german, left.english + right.english)

    def _condition(self, size: int, last: bool) -> Phrase:
        """Return a subordinate clause and a main one: Wenn A, B. The verb of B precedes its subject."""
        rest = size - 2
        first = self.between(max(2, rest - SIMPLE), min(SUBORDINATE, rest - 2))
        german, english = self.pick(SUBORDINATORS)
        word, comma = self.token(german), self.token(",")
        left = self._clause(first, FINAL, True)
        right = self._clause(rest - first, INVERTED, last)
        return Phrase(
            [word, *left.german, comma, *right.german],
            [(english, (word[1],), ()), *left.english, (",", (), (comma[1],)), *right.english],
        )

    def _subordinate(self, words: tuple[str, str], size: int, last: bool) -> Phrase:
        """Return a comma, conjunction, a verb-final clause of `size` tokens, and a closing comma unless `last`."""
        opening, word = self.token(","), self.token(words[0])
        clause = self._clause(size, FINAL, True)
        closing = [] if last else [self.token(",")]
        return Phrase([opening, word, *clause.german, *closing], [(words[1], (word[1],), ()), *clause.english])

    def _clause(self, size: int, order: str, last: bool, pronoun: Phrase | None = None) -> Phrase:
        """Return a clause of `size` tokens; `pronoun` is the subject of a clause relative to it."""
        verb, tense, adverbial, left = self.pick(_plans(size, order, last, pronoun is not None))
        sizes = self._split(left, *_slots(verb, pronoun is not None))
        # True if no part of the verb is at the end of the clause, so that a noun phrase ends it.
        ends = order != FINAL and verb_size(verb, tense, final=False) == 1
        subject = pronoun
        if subject is None:
            bare = order == FRONTED or (order == INVERTED and adverbial is None)
            closed = ends and bare and ((last and not verb.frame) or verb.frame == "c")
            size = sizes.pop(0)
            subject = self.pronoun() if size == 1 else self._noun_phrase(size, "nom", "p", closed)
        objects = Phrase([], []) if verb.frame in ("", "c") else self._objects(verb, sizes, ends and last)
        that = self._subordinate(("dass", "that"), sizes[0], last) if verb.frame == "c" else Phrase([], [])
        return self._order(
            order, subject, self.verb(verb, tense, order == FINAL, subject.plural), objects, self.time(adverbial), that
        )

    @staticmethod
    def _order(order: str, subject: Phrase, verbs: Verbs, objects: Phrase, time: Phrase, that: Phrase) -> Phrase:
        """Put the parts of a clause in German and in English order; `that` is the dass-clause."""
        rest = [*objects.german, *verbs.rest, *that.german]
        english = [*subject.english, *verbs.english, *objects.english]
        if order == FRONTED:
            german = [*time.german, *verbs.finite, *subject.german, *rest]
            return Phrase(german, [*time.english, *english, *that.english])
        front = [*verbs.finite, *subject.german] if order == INVERTED else [*subject.german, *verbs.finite]
        return Phrase([*front, *time.german, *rest], [*english, *time.english, *that.english])

    def _split(self, left: int, least: list[int], most: list[int]) -> list[int]:
        """Distribute `left` tokens at random over slots with these bounds."""
        sizes: list[int] = []
        for i, (low, high) in enumerate(zip(least, most, strict=True)):
            rest = left - sum(sizes)
            sizes.append(self.between(max(low, rest - sum(most[i + 1 :])), min(high, rest - sum(least[i + 1 :]))))
        return sizes

    def _objects(self, verb: Verb, sizes: list[int], last: bool) -> Phrase:
        if verb.frame == "p":
            return self.governed(verb, self._noun_phrase(sizes[0], verb.case, verb.objects, last))
        if verb.frame == "da":
            given = self._noun_phrase(sizes[0], "dat", "p", False)
            gift = self._noun_phrase(sizes[1], "acc", verb.objects, last)
            return Phrase(given.german + gift.german, given.english + gift.english)
        return self._noun_phrase(sizes[0], "acc" if verb.frame == "a" else "dat", verb.objects, last)

    def _noun_phrase(self, size: int, case: str, kinds: str, last: bool) -> Phrase:
        """Return a noun with a determiner and adjectives, a place, a second noun or a relative clause. `size` ≥ 2."""
        if size < 5:
            return self.head(size, case, self.pick(nouns(kinds)))
        way = self.between(0, 3)
        if way == 0:
            return self._pair(size, case, kinds, last)
        head_size = 3 if size > 6 and self.uniform() < 0.4 else 2
        noun = self.pick(nouns(kinds))
        head = self.head(head_size, case, noun)
        if way > 1 and size - head_size - 2 + last >= 3:
            tail = self._relative(size - head_size - 2 + last, noun.kind, head.column)
            opening, closing = self.token(","), [] if last else [self.token(",")]
            tail = Phrase([opening, *tail.german, *closing], tail.english)
        else:
            tail = self._place(size - head_size, last)
        return Phrase(head.german + tail.german, head.english + tail.english, head.plural)

    def _pair(self, size: int, case: str, kinds: str, last: bool) -> Phrase:
        first = self.between(2, size - 3)
        left = self._noun_phrase(first, case, kinds, False)
        word = self.token("und")
        right = self._noun_phrase(size - 1 - first, case, kinds, last)
        english = [*left.english, ("and", (word[1],), ()), *right.english]
        return Phrase([*left.german, word, *right.german], english, plural=True)

    def _place(self, size: int, last: bool) -> Phrase:
        kind, german, english = self.pick(PLACES)
        word = self.token(german)
        where = self._noun_phrase(size - 1, "dat", kind, last)
        return Phrase([word, *where.german], [*((part, (word[1],), ()) for part in english), *where.english])

    def _relative(self, size: int, kind: str, column: int) -> Phrase:
        """Return a relative clause without its commas, to a noun of this kind with forms of this column. `size` ≥ 3."""
        if kind == "p" and self.uniform() < 0.5:
            word = self.token(RELATIVE["nom"][column])
            return self._clause(size, FINAL, True, Phrase([word], [("who", (), (word[1],))], column == 3))
        verb, tense, adverbial, left = self.pick(_object_relatives(size, kind))
        word = self.token(RELATIVE[{"a": "acc", "d": "dat", "p": verb.case}[verb.frame]][column])
        subject = self.pronoun() if left == 1 else self.head(left, "nom", self.pick(MASCULINE), singular=True)
        verbs, time = self.verb(verb, tense, True, subject.plural), self.time(adverbial)
        preposition = self.governed(verb, Phrase([], [])) if verb.frame == "p" else Phrase([], [])
        relative = ("who" if kind == "p" else "that", (), (word[1],))
        return Phrase(
            [*preposition.german, word, *subject.german, *time.german, *verbs.rest],
            [relative, *subject.english, *verbs.english, *preposition.english, *time.english],
        )
