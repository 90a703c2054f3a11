"""The grammar: alignments of every construction by hand, agreement against independent tables, unique translations."""

from collections.abc import Sequence
from itertools import islice, pairwise
from typing import Any

import numpy as np
import pytest

from softlookup.errors import UserError
from softlookup.task.grammar import Grammar
from softlookup.task.grammar_lexicon import NOUNS
from softlookup.task.grammar_rules import ClausePlan, Derivation
from softlookup.task.grammar_words import Phrase
from softlookup.task.synthetic import Uniforms


def strings(option: Any) -> set[str]:
    if isinstance(option, str):
        return {option}
    parts = option.values() if isinstance(option, dict) else option if isinstance(option, tuple) else ()
    return {word for part in parts for word in strings(part)}


class Restricted(Derivation):
    """Derive with the unchanged rules and a lexicon restricted to the words of one sentence."""

    def __init__(self, words: set[str]) -> None:
        super().__init__(Uniforms(np.random.default_rng(41)).draw)
        self.words = words
        self.plans: dict[int, Sequence[ClausePlan]] = {}

    def pick(self, options: Sequence[Any]) -> Any:
        if isinstance(options[0], ClausePlan):
            # Plan tables are long and live as long as the process, so their ids are valid cache keys.
            if id(options) not in self.plans:
                self.plans[id(options)] = [plan for plan in options if self.fits(plan)]
            return super().pick(self.plans[id(options)] or options)
        return super().pick([option for option in options if self.words & strings(option)] or options)

    def fits(self, plan: ClausePlan) -> bool:
        verb = plan.verb
        whole = {verb.particle + form for form in verb.finite}
        forms = {
            "present": {*verb.finite, *whole},
            "past": {verb.participle},
            "modal": {verb.particle + verb.finite[1]},
        }
        helpers = {"present": self.words, "past": {"hat", "haben", "ist", "sind"}, "modal": {"will", "müssen"}}
        expressible = bool(self.words & forms[plan.tense]) and bool(self.words & helpers[plan.tense])
        return expressible and (plan.adverbial is None or set(plan.adverbial.german) <= self.words)


def derive(german: str, english: str) -> Phrase:
    """Find the derivation of this pair by random trials."""
    wanted = Restricted({*german.split(), *english.split()})
    for _ in range(30000):
        phrase = wanted.sentence(len(german.split()))
        if " ".join(word for word, _ in phrase.german) == german:
            assert " ".join(word for word, *_ in phrase.english) == english
            return phrase
    raise AssertionError(f"the grammar does not make: {german}")


# Links by source position: "1,3" are both sure, "(0)" is possible, "3(2)" is a sure and a possible link.
@pytest.mark.parametrize(
    ("german", "english", "links"),
    [
        ("die frau singt .", "the woman sings .", "(0) 1 2 (3)"),
        ("er steht auf .", "he gets up .", "0 1,2 1,2 (3)"),
        ("jetzt schlafen wir .", "now we sleep .", "0 2 1 (3)"),
        ("er ruft die frau an .", "he calls the woman .", "0 1,4 (2) 3 (5)"),
        ("er hat die frau angerufen .", "he called the woman .", "0 4(1) (2) 3 (5)"),
        ("er will die frau anrufen .", "he wants to call the woman .", "0 1 (1,4) 4 (2) 3 (5)"),
        ("er kauft einen apfelkuchen .", "he buys an apple cake .", "0 1 (2) 3 3 (4)"),
        ("er kauft einen roten apfel .", "he buys a red apple .", "0 1 (2) 3 4 (5)"),
        ("er sieht am abend das haus .", "he sees the house in the evening .", "0 1 (4) 5 (2) (2) 3 (6)"),
        ("wir warten auf dieses kind .", "we wait for this child .", "0 1 2 3 4 (5)"),
        ("er gibt dem kind das buch .", "he gives the child the book .", "0 1 (2) 3 (4) 5 (6)"),
        ("der mann vor dem haus lacht .", "the man in front of the house laughs .", "(0) 1 2 2 2 (3) 4 5 (6)"),
        ("er sagt , dass er das kind sieht .", "he says that he sees the child .", "0 1 3 4 7 (5) 6 (8)"),
        (
            "die frau lacht , weil er das buch gekauft hat .",
            "the woman laughs because he bought the book .",
            "(0) 1 2 4 5 8(9) (6) 7 (10)",
        ),
        (
            "wenn er singt , schläft die frau heute ein .",
            "if he sings , the woman falls asleep today .",
            "0 1 2 (3) (5) 6 4,8 4,8 7 (9)",
        ),
        (
            "die frau , die wir sehen , schläft .",
            "the woman who we see sleeps .",
            "(0) 1 (3) 4 5 7 (8)",
        ),
        (
            "er hilft dem kind , mit dem wir sprechen .",
            "he helps the child who we talk to .",
            "0 1 (2) 3 (6) 7 8 5 (9)",
        ),
        (
            "heute müssen wir arbeiten und die frau singt .",
            "today we must work and the woman sings .",
            "0 2 1 3 4 (5) 6 7 (8)",
        ),
        (
            "heute müssen wir arbeiten , aber die frau singt .",
            "today we must work , but the woman sings .",
            "0 2 1 3 (4) 5 (6) 7 8 (9)",
        ),
    ],
)
def test_alignments_by_hand(german: str, english: str, links: str) -> None:
    phrase = derive(german, english)
    place = {k: position for position, (_, k) in enumerate(phrase.german)}
    found = [({place[k] for k in sure}, {place[k] for k in possible}) for _, sure, possible in phrase.english]
    wanted = []
    for text in links.split():
        sure, _, possible = text.rstrip(")").partition("(")
        wanted.append(tuple({int(number) for number in part.split(",") if number} for part in (sure, possible)))
    assert [(sure, possible - sure) for sure, possible in found] == wanted


@pytest.fixture(scope="module")
def task() -> Grammar:
    return Grammar(longest=20)


@pytest.fixture(scope="module")
def pairs(task: Grammar) -> list[tuple[list[str], str]]:
    """Generate sentences of all lengths up to 60."""
    uniform = Uniforms(np.random.default_rng(31)).draw
    lengths = [*range(4, 61)] * 41
    found = [task.sample(uniform, length) for length in lengths]
    assert [len(example.source) for example in found] == lengths
    found += islice(task.training(np.random.default_rng(37), lambda: 7), 5003)
    return [(task.source_vocabulary.decode(e.source), e.reference or "") for e in found]


def test_every_german_sentence_has_one_translation(pairs: list[tuple[list[str], str]]) -> None:
    seen: dict[str, str] = {}
    for german, english in pairs:
        assert seen.setdefault(" ".join(german), english) == english
    assert len(seen) < len(pairs)


def test_every_word_is_used_and_the_reference_is_the_target(task: Grammar, pairs: list[tuple[list[str], str]]) -> None:
    assert {word for german, _ in pairs for word in german} == set(task.source_vocabulary.tokens[4:])
    assert {word for _, english in pairs for word in english.split()} == set(task.target_vocabulary.tokens[4:])
    for example in task.test():
        assert " ".join(task.target_vocabulary.decode(example.target)) == example.reference


def test_commas_follow_german_punctuation_rules(pairs: list[tuple[list[str], str]]) -> None:
    for german, _ in pairs:
        assert german[-1] == "."
        assert german[0] != ","
        for before, word in pairwise(german):
            assert (before, word) not in {(",", ","), (",", ".")}
            if word in ("dass", "aber", "weil", "obwohl"):
                assert before in (",", "und", "aber") or german[0] == word, german


ARTICLES = {  # article → genders and numbers (p: plural) that it can precede in any case
    "das": "n", "des": "", "ein": "mn", "einen": "m", "eine": "f", "einem": "mn", "einer": "f",
    "diese": "fp", "dieser": "mf", "dieses": "n", "diesem": "mn", "diesen": "mp",
    "jede": "f", "jeder": "mf", "jedes": "n", "jeden": "m", "jedem": "mn", "dem": "mn", "den": "mp",
}  # fmt: skip


def test_articles_agree_with_their_nouns(pairs: list[tuple[list[str], str]]) -> None:
    forms: dict[str, set[str]] = {}
    for noun in NOUNS:
        forms.setdefault(noun.singular, set()).add(noun.gender)
        forms.setdefault(noun.plural, set()).add("p")
        forms.setdefault(noun.dative_plural, set()).add("p")
    checked = 0
    for german, _ in pairs:
        for article, word in pairwise(german):
            if article in ARTICLES and word in forms:
                checked += 1
                assert forms[word] & set(ARTICLES[article]), (article, word)
    assert checked > 1000


def test_an_precedes_only_vowels(pairs: list[tuple[list[str], str]]) -> None:
    for _, english in pairs:
        words = english.split()
        for article, word in pairwise(words):
            if article in ("a", "an"):
                assert (article == "an") == (word[0] in "aeiou")


def test_word_order_is_far_from_monotone(task: Grammar) -> None:
    jumps = [
        abs(min(after) - min(before))
        for example in task.test()
        for before, after in pairwise(example.sure)
        if before and after
    ]
    assert max(jumps) >= 10
    assert np.mean([jump > 2 for jump in jumps]) > 0.15


@pytest.mark.parametrize("longest", [3, 61])
def test_lengths_out_of_range_are_rejected(longest: int) -> None:
    with pytest.raises(UserError, match="expected 4 to 60"):
        Grammar(longest)
