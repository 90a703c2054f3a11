"""The Hugging Face hub as a source of text, without a network: splits, layouts and error messages."""

from pathlib import Path

import pytest

from softlookup.errors import UserError
from softlookup.task import hub as hub_module
from softlookup.task.hub import read_hub


def hub(monkeypatch: pytest.MonkeyPatch, splits: tuple[str, ...] = ("train", "validation", "test")) -> None:
    """Patch the hub to return the same small dataset for every name."""
    from datasets import Dataset, DatasetDict

    data = DatasetDict({split: Dataset.from_dict({"en": [split], "de": [split.upper()]}) for split in splits})
    monkeypatch.setattr(hub_module, "hub_unreachable", lambda: None)
    monkeypatch.setattr("datasets.load_dataset", lambda _name: data)


def test_the_hub_gives_the_splits_of_its_dataset(monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch)
    splits = read_hub("someone/text", "de", "en")
    assert {k: [*v] for k, v in splits.items()} == {
        "train": [("TRAIN", "train")],
        "validation": [("VALIDATION", "validation")],
        "test": [("TEST", "test")],
    }
    assert splits["test"].names == {
        "de": "someone/text, split test, column de",
        "en": "someone/text, split test, column en",
    }


def test_a_missing_language_or_split_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    from datasets import Dataset

    hub(monkeypatch)
    with pytest.raises(UserError, match=r"no column fr; valid: de, en \(or give task\.path=DIR with train\.fr"):
        read_hub("someone/text", "fr", "en")
    hub(monkeypatch, splits=("train", "test"))
    with pytest.raises(UserError, match="no split validation; it has train, test"):
        read_hub("someone/text", "de", "en")
    empty = Dataset.from_dict({"de": [], "en": []})
    monkeypatch.setattr("datasets.load_dataset", lambda _name: {"train": empty})
    with pytest.raises(UserError, match="has nothing in its split train"):
        read_hub("someone/text", "de", "en")


def test_the_translation_layout_and_custom_split_names_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A column `translation` with a text per language, as a Translation feature and as a plain dict."""
    from datasets import Dataset, DatasetDict, Features, Translation

    rows = {"id": ["0", "1"], "translation": [{"de": "eins", "en": "one"}, {"de": "zwei", "en": "two"}]}
    typed = Dataset.from_dict(
        {"translation": rows["translation"]}, Features({"translation": Translation(["de", "en"])})
    )
    requested = []

    def load(*name: str) -> DatasetDict:
        requested.append(name)
        return DatasetDict({"train": Dataset.from_dict(rows), "dev": typed, "test": typed})

    monkeypatch.setattr(hub_module, "hub_unreachable", lambda: None)
    monkeypatch.setattr("datasets.load_dataset", load)
    splits = read_hub("books:de-en", "en", "de", {"validation": "dev", "test": None})
    assert [[*split] for split in splits.values()] == [[("one", "eins"), ("two", "zwei")]] * 3
    assert requested == [("books", "de-en")]
    assert splits["validation"].names["de"] == "books:de-en, split dev, column de"
    with pytest.raises(UserError, match=r"no split validation; it has train, dev, test \(task\.validation=NAME\)"):
        read_hub("books", "en", "de")
    with pytest.raises(UserError, match="no language in its column translation, named fr; valid: de, en"):
        read_hub("books", "en", "fr", {"validation": "dev"})


def test_a_failing_hub_is_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    def fail(_name: str) -> None:
        raise ConnectionError("no route\nand a long story")

    monkeypatch.setattr(hub_module, "hub_unreachable", lambda: None)
    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(UserError) as caught:
        read_hub("someone/text", "de", "en")
    assert str(caught.value) == (
        "someone/text could not be loaded from the Hugging Face hub (no route); give task.path=DIR, a folder with "
        "train.de, train.en, val.de, val.en, test.de, test.en (plain or .gz); "
        "task.dataset=NAME:CONFIG chooses one config of a dataset"
    )


def test_an_unreachable_hub_is_not_contacted_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Only the library's cache is used, through its offline setting, which is restored afterwards."""
    import datasets
    import huggingface_hub

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path))
    # Without our setting the library would fail too, so that this test never uses a network.
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert "offline mode is enabled" in str(hub_module.hub_unreachable())
    monkeypatch.setattr(hub_module, "hub_unreachable", lambda: "no name server")
    with pytest.raises(UserError, match=r"could not be loaded from the Hugging Face hub \(no name server\)"):
        read_hub("someone/text", "de", "en")
    assert datasets.config.HF_HUB_OFFLINE is False
    seen = []
    monkeypatch.setattr(datasets, "load_dataset", lambda _name: seen.append(datasets.config.HF_HUB_OFFLINE) or {})
    with pytest.raises(UserError, match="no split train"):
        read_hub("someone/text", "de", "en")
    assert seen == [True]
