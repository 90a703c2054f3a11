"""Grammar task: a synchronous grammar of German and English with gold alignments; needs no download."""

from softlookup.contract import Example
from softlookup.errors import UserError
from softlookup.task.grammar_lexicon import vocabularies
from softlookup.task.grammar_rules import Derivation
from softlookup.task.synthetic import Synthetic, Uniform, only

SHORTEST = 4
BUCKETS = ((4, 10), (11, 20), (21, 30), (31, 40), (41, 60))


class Grammar(Synthetic):
    """German sentences of 4 to `longest` tokens in training, to 60 in the test set, and their one English translation.

    Words and punctuation marks are tokens, all in lower case. The two languages differ as in real text: the verb is
    second in German main clauses and last in subordinate ones; participles, infinitives and separable particles stand
    at the end of a clause; inversion follows a fronted adverbial; a compound becomes several words; articles and
    adjectives agree in gender, number and case. Sentences have exact lengths, so lengths are uniform as in the other
    tasks.

    Content words, conjunctions, prepositions, pronouns and demonstratives have sure links. Articles, relative
    pronouns, auxiliaries of the perfect, `to` and punctuation have only possible links. A German comma without an
    English counterpart has no link.

    Raises UserError unless 4 ≤ longest ≤ 60.
    """

    def __init__(self, longest: int) -> None:
        if not SHORTEST <= longest <= BUCKETS[-1][1]:
            raise UserError(f"task.longest={longest}: expected {SHORTEST} to {BUCKETS[-1][1]} tokens")
        german, english = vocabularies()
        super().__init__(german, english, (SHORTEST, longest), BUCKETS, per_bucket=80)

    def sample(self, uniform: Uniform, length: int) -> Example:
        german, english, *_ = Derivation(uniform).sentence(length)
        place = {k: position for position, (_, k) in enumerate(german)}
        words = [word for word, _, _ in english]
        # Most words have one link: their sets are shared.
        sure = [
            only(place[row[1][0]]) if len(row[1]) == 1 else frozenset([place[k] for k in row[1]]) for row in english
        ]
        return Example(
            source=self.source_vocabulary.encode([word for word, _ in german]),
            target=self.target_vocabulary.encode(words),
            sure=tuple(sure),
            possible=tuple(
                [s.union([place[k] for k in row[2]]) if row[2] else s for s, row in zip(sure, english, strict=True)]
            ),
            reference=" ".join(words),
        )
