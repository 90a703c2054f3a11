"""Language codes: their tokenizers, units of length, and notes on unknown codes."""

from pathlib import Path

import pytest
from sacrebleu.metrics import BLEU

from softlookup.errors import UserError
from softlookup.text import languages
from softlookup.text.languages import Splitting, length, splitting, unit


@pytest.fixture
def _installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(languages, "find_spec", lambda _: object())


@pytest.fixture
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(languages, "find_spec", lambda _: None)


@pytest.mark.usefixtures("_installed")
@pytest.mark.parametrize(
    ("codes", "tokenizer", "moses", "counted"),
    [
        ("en EN en_US eng eng_Latn", "13a", "en", "words"),
        ("de de_DE de-AT deu ger deu_Latn", "13a", "de", "words"),
        ("zh zh-CN zh_TW zh-Hant-HK zho zho_Hans cmn_Hant yue_Hant yue", "zh", None, "characters"),
        ("ja ja_JP jpn jpn_Jpan", "ja-mecab", None, "characters"),
        ("ko kor kor_Hang ko-KR", "ko-mecab", "ko", "words"),
        ("th tha_Thai", "char", None, "characters"),
        ("lo khm mya_Mymr shn_Mymr dz bod_Tibt", "char", None, "characters"),
        ("ja-Latn", "13a", "ja-Latn", "words"),
        ("hsb_Latn", "13a", "hsb", "words"),
        ("srp_Cyrl", "13a", "sr", "words"),
    ],
)
def test_language_codes_select_tokenizer_and_unit(codes: str, tokenizer: str, moses: str | None, counted: str) -> None:
    for code in codes.split():
        found = splitting(code)
        assert found == Splitting(tokenizer, moses), code
        assert found.note is None
        assert unit(code) == counted


@pytest.mark.usefixtures("_bare")
def test_without_the_packages_characters_are_used_with_a_note() -> None:
    for code, package in (("ja", "sacrebleu[ja]"), ("ko", "sacrebleu[ko]")):
        found = splitting(code)
        assert found.tokenizer == "char"
        assert found.note is not None
        assert f"pip install '{package}'" in found.note
    assert splitting("zh") == Splitting("zh", None)
    with pytest.raises(UserError, match=r"task\.tokenizer=ja-mecab needs the packages MeCab and ipadic: pip install"):
        splitting("ja", "ja-mecab")
    with pytest.raises(UserError, match=r"task\.tokenizer=flores200 needs the package sentencepiece: pip install"):
        splitting("de", "flores200")


def test_an_unknown_language_code_is_noted() -> None:
    for code in ("xx", "tgt", "jp", ""):
        found = splitting(code)
        assert (found.tokenizer, unit(code)) == ("13a", "words")
        assert found.note is not None
        assert "is not a known language code" in found.note
    assert splitting("xx", "char") == Splitting("char", "xx")
    assert splitting("xx", "char").note is None


def test_a_tokenizer_can_be_chosen() -> None:
    assert splitting("de", "intl") == Splitting("intl", "de")
    assert splitting("ja", "char") == Splitting("char", None)
    with pytest.raises(UserError, match=r"task\.tokenizer=13b: not a tokenizer of sacrebleu; did you mean 13a\?"):
        splitting("de", "13b")


@pytest.mark.usefixtures("_installed")
def test_a_tokenizer_model_must_be_present_and_is_not_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SACREBLEU", str(tmp_path))
    for name in languages._MODELS:
        with pytest.raises(UserError, match=rf"{name} needs the model .*: put it into {tmp_path}/models"):
            splitting("de", name)
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / languages._MODELS["flores200"]).touch()
    assert splitting("de", "flores200").tokenizer == "flores200"


def test_requirements_of_every_sacrebleu_tokenizer_are_known() -> None:
    """This fails when a new version of sacrebleu adds tokenizers."""
    free = {"none", "zh", "13a", "intl", "char"}
    assert set(BLEU.TOKENIZERS) == free | set(languages._PACKAGES) | set(languages._MODELS)
    for name in free:
        BLEU(tokenize=name)


def test_lengths_count_words_or_characters() -> None:
    assert length("Ein Hund, ja.", "words") == 5
    assert length(" この 大きい\u3000犬。", "characters") == 7
