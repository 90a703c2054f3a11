"""List the German and English words of the grammar with their forms. Lower case; `_` joins English words."""

from __future__ import annotations

from typing import NamedTuple

English = tuple[str, ...]


class Noun(NamedTuple):
    """German singular, plural and dative plural (weak nouns are left out, so the singular has one form)."""

    kind: str  # p person, t thing; places by their preposition: i in, o on, n neither
    gender: str  # m, f, n
    singular: str
    plural: str
    dative_plural: str
    english: tuple[English, English]  # singular, plural


class Verb(NamedTuple):
    """A German verb with its arguments and its translation.

    frame: "" no object, "a" accusative, "d" dative, "da" both, "p" prepositional, "c" a clause with dass.
    """

    frame: str
    objects: str  # the noun kinds allowed for its (last) object
    finite: tuple[str, str]  # 3rd person singular and plural, without the particle
    particle: str
    participle: str
    auxiliary: str  # of the perfect: hat or ist
    preposition: str
    case: str  # governed by the preposition
    base: English
    third: English
    past: English
    english_preposition: English


class Adverbial(NamedTuple):
    """A time adverbial: German words, and English words, each with the German word that it is linked to.

    A function word (`sure` false) has only a possible link.
    """

    german: tuple[str, ...]
    english: tuple[tuple[str, int, bool], ...]


_NOUNS = """
p m mann männer männern man men
p f frau frauen frauen woman women
p n kind kinder kindern child children
p n mädchen mädchen mädchen girl girls
p m lehrer lehrer lehrern teacher teachers
p m arzt ärzte ärzten doctor doctors
p m freund freunde freunden friend friends
p m bruder brüder brüdern brother brothers
p f schwester schwestern schwestern sister sisters
p f tante tanten tanten aunt aunts
p f nachbarin nachbarinnen nachbarinnen neighbour neighbours
p m busfahrer busfahrer busfahrern bus_driver bus_drivers
t m apfel äpfel äpfeln apple apples
t m apfelkuchen apfelkuchen apfelkuchen apple_cake apple_cakes
t n buch bücher büchern book books
t m brief briefe briefen letter letters
t f blume blumen blumen flower flowers
t m regenschirm regenschirme regenschirmen umbrella umbrellas
t m wintermantel wintermäntel wintermänteln winter_coat winter_coats
t m haustürschlüssel haustürschlüssel haustürschlüsseln front_door_key front_door_keys
i m garten gärten gärten garden gardens
i n haus häuser häusern house houses
i f schule schulen schulen school schools
i m bahnhof bahnhöfe bahnhöfen train_station train_stations
o f brücke brücken brücken bridge bridges
o f straße straßen straßen street streets
n f haustür haustüren haustüren front_door front_doors
n f bushaltestelle bushaltestellen bushaltestellen bus_stop bus_stops
"""

# frame objects singular plural particle participle auxiliary preposition case base third past preposition
_VERBS = """
- - schläft schlafen - geschlafen hat - - sleep sleeps slept -
- - arbeitet arbeiten - gearbeitet hat - - work works worked -
- - lacht lachen - gelacht hat - - laugh laughs laughed -
- - singt singen - gesungen hat - - sing sings sang -
- - steht stehen auf aufgestanden ist - - get_up gets_up got_up -
- - kommt kommen an angekommen ist - - arrive arrives arrived -
- - schläft schlafen ein eingeschlafen ist - - fall_asleep falls_asleep fell_asleep -
a ptio sieht sehen - gesehen hat - - see sees saw -
a ptin sucht suchen - gesucht hat - - look_for looks_for looked_for -
a ptio findet finden - gefunden hat - - find finds found -
a p besucht besuchen - besucht hat - - visit visits visited -
a p ruft rufen an angerufen hat - - call calls called -
a p holt holen ab abgeholt hat - - pick_up picks_up picked_up -
a p lädt laden ein eingeladen hat - - invite invites invited -
a t kauft kaufen - gekauft hat - - buy buys bought -
a t braucht brauchen - gebraucht hat - - need needs needed -
a t wirft werfen weg weggeworfen hat - - throw_away throws_away threw_away -
a o überquert überqueren - überquert hat - - cross crosses crossed -
d p hilft helfen - geholfen hat - - help helps helped -
d p folgt folgen - gefolgt ist - - follow follows followed -
da t gibt geben - gegeben hat - - give gives gave -
da t zeigt zeigen - gezeigt hat - - show shows showed -
da t schickt schicken - geschickt hat - - send sends sent -
p p wartet warten - gewartet hat auf acc wait waits waited for
p pt denkt denken - gedacht hat an acc think thinks thought of
p pt träumt träumen - geträumt hat von dat dream dreams dreamed of
p p spricht sprechen - gesprochen hat mit dat talk talks talked to
p i geht gehen - gegangen ist in acc go goes went into
c - sagt sagen - gesagt hat - - say says said -
c - glaubt glauben - geglaubt hat - - believe believes believed -
c - hofft hoffen - gehofft hat - - hope hopes hoped -
"""


def _english(word: str) -> English:
    return () if word == "-" else tuple(word.split("_"))


def _noun(kind: str, gender: str, singular: str, plural: str, dative: str, one: str, many: str) -> Noun:
    return Noun(kind, gender, singular, plural, dative, (_english(one), _english(many)))


def _verb(line: str) -> Verb:
    words = ["" if word == "-" else word for word in line.split()]
    frame, objects, singular, plural, particle, participle, auxiliary, preposition, case = words[:9]
    base, third, past, last = (_english(word or "-") for word in words[9:])
    return Verb(
        frame, objects, (singular, plural), particle, participle, auxiliary, preposition, case, base, third, past, last
    )


NOUNS = tuple(_noun(*line.split()) for line in _NOUNS.strip().splitlines())
VERBS = tuple(_verb(line) for line in _VERBS.strip().splitlines())

# Stem, English, and the noun kinds it combines with; in the order in which two adjectives appear in both languages.
ADJECTIVES = (
    ("schön", "beautiful", "tion"),
    ("freundlich", "friendly", "p"),
    ("glücklich", "happy", "p"),
    ("müd", "tired", "p"),
    ("schwer", "heavy", "t"),
    ("klein", "small", "ption"),
    ("alt", "old", "ption"),
    ("neu", "new", "tion"),
    ("jung", "young", "p"),
    ("rot", "red", "t"),
)
# Tables of forms have the columns masculine, feminine, neuter and plural.
COLUMNS = "mfnp"
_ARTICLES = {
    "der": {"nom": "der die das die", "acc": "den die das die", "dat": "dem der dem den"},
    "ein": {"nom": "ein eine ein", "acc": "einen eine ein", "dat": "einem einer einem"},
    "dieser": {
        "nom": "dieser diese dieses diese",
        "acc": "diesen diese dieses diese",
        "dat": "diesem dieser diesem diesen",
    },
    "jeder": {"nom": "jeder jede jedes", "acc": "jeden jede jedes", "dat": "jedem jeder jedem"},
}
_WEAK = {"nom": "e e e en", "acc": "en e e en", "dat": "en en en en"}
_MIXED = {"nom": "er e es en", "acc": "en e es en", "dat": "en en en en"}
RELATIVE = {case: tuple(forms.split()) for case, forms in (_ARTICLES["der"] | {"dat": "dem der dem denen"}).items()}


class Determiner(NamedTuple):
    """German forms, and the endings of a following adjective, by case and column; English singular and plural.

    An article (`sure` false) has only a possible link. A determiner without a fourth form has no plural.
    """

    forms: dict[str, tuple[str, ...]]
    endings: dict[str, tuple[str, ...]]
    english: tuple[str, str]
    sure: bool


def _determiner(stem: str, endings: dict[str, str], singular: str, plural: str, sure: bool) -> Determiner:
    forms, tails = ({case: tuple(row.split()) for case, row in table.items()} for table in (_ARTICLES[stem], endings))
    return Determiner(forms, tails, (singular, plural), sure)


DETERMINERS = (
    _determiner("der", _WEAK, "the", "the", False),
    _determiner("ein", _MIXED, "a", "a", False),
    _determiner("dieser", _WEAK, "this", "these", True),
    _determiner("jeder", _WEAK, "every", "every", True),
)

# Prepositions of place, with the dative: `in` and `auf` depend on the kind of place, the others fit all kinds.
_NEAR = (("neben", ("next", "to")), ("hinter", ("behind",)), ("vor", ("in", "front", "of")))
PLACES: tuple[tuple[str, str, English], ...] = (
    *(("i", "in", ("in",)),) * 6,
    *(("o", "auf", ("on",)),) * 4,
    *((kind, german, english) for kind in "ion" for german, english in _NEAR),
)
# German singular and plural, English singular and plural; only the first English word has a sure link.
MODALS: tuple[tuple[tuple[str, str], tuple[English, English]], ...] = (
    (("kann", "können"), (("can",), ("can",))),
    (("muss", "müssen"), (("must",), ("must",))),
    (("will", "wollen"), (("wants", "to"), ("want", "to"))),
    (("wird", "werden"), (("will",), ("will",))),
)
AUXILIARIES = {"hat": ("hat", "haben"), "ist": ("ist", "sind")}
SUBORDINATORS = (("weil", "because"), ("obwohl", "although"), ("wenn", "if"), ("während", "while"))
PRONOUNS = (("er", "he", False), ("wir", "we", True))  # German, English, whether the verb is plural
_TODAY = Adverbial(("heute",), (("today", 0, True),))
_EVENING = Adverbial(("am", "abend"), (("in", 0, False), ("the", 0, False), ("evening", 1, True)))
ADVERBIALS = {  # by tense
    "present": (
        _TODAY,
        _EVENING,
        Adverbial(("jetzt",), (("now", 0, True),)),
        Adverbial(("jeden", "tag"), (("every", 0, True), ("day", 1, True))),
    ),
    "past": (_TODAY, _EVENING, Adverbial(("gestern",), (("yesterday", 0, True),))),
    "modal": (_TODAY, _EVENING, Adverbial(("morgen",), (("tomorrow", 0, True),))),
}


def vocabularies() -> tuple[list[str], list[str]]:
    """Return all German and all English words that the grammar can generate, in alphabetical order."""
    german = {".", ",", "und", "aber", "dass", *(pronoun for pronoun, _, _ in PRONOUNS), *RELATIVE["dat"]}
    english = {".", ",", "and", "but", "that", "who", "an", *(pronoun for _, pronoun, _ in PRONOUNS)}
    for noun in NOUNS:
        german |= {noun.singular, noun.plural, noun.dative_plural}
        english.update(*noun.english)
    for stem, adjective, kinds in ADJECTIVES:
        # The ending -er is a masculine nominative, hence a subject, and subjects are persons.
        german |= {stem + ending for ending in ("e", "en", "es", *(("er",) if "p" in kinds else ()))}
        english.add(adjective)
    for verb in VERBS:
        german |= {*verb.finite, verb.particle, verb.participle, verb.preposition}
        german |= {verb.particle + form for form in verb.finite}
        english.update(verb.base, verb.third, verb.past, verb.english_preposition)
    for determiner in DETERMINERS:
        german.update(*determiner.forms.values())
        english.update(determiner.english)
    for _, preposition, words in PLACES:
        german.add(preposition)
        english.update(words)
    german.update(*AUXILIARIES.values(), *(forms for forms, _ in MODALS), (word for word, _ in SUBORDINATORS))
    english.update(*(form for _, forms in MODALS for form in forms), (word for _, word in SUBORDINATORS))
    for adverbial in (one for group in ADVERBIALS.values() for one in group):
        german.update(adverbial.german)
        english.update(word for word, _, _ in adverbial.english)
    return sorted(german - {""}), sorted(english)
