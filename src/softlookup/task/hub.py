"""Read splits from the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from softlookup.errors import UserError, needed_by
from softlookup.task.records import columns_of, line_of
from softlookup.task.split import STEMS, TRANSLATION, Pair, Split, examined

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

HUB_TIMEOUT = 5.0  # seconds
DATASET = "bentrevett/multi30k"  # the default


def read_hub(dataset: str, source: str, target: str, names: Mapping[str, str | None] | None = None) -> dict[str, Split]:
    """Read the splits of a dataset of the Hugging Face hub, from the local cache where the hub cannot be reached.

    `dataset` is NAME, or NAME:CONFIG for a dataset with several configs, as in `opus_books:de-en`. Each language is a
    column, or a field of the column `translation`. `names` overrides the split names `train`, `validation` and `test`,
    None for the default. Raises UserError where neither the hub nor the cache has the dataset, and where a language or
    a split is missing, or a split is empty.
    """
    loaded = _load(dataset, source, target)
    languages = (source, target)
    splits = {}
    for split in STEMS:
        name = (names or {}).get(split) or split
        if name not in loaded:
            raise UserError(f"{dataset} has no split {name}; it has {', '.join(loaded)} (task.{split}=NAME)")
        if not loaded[name].num_rows:
            raise UserError(f"{dataset} has nothing in its split {name}")
        inside = _languages(loaded[name])
        hint = f" (or give task.path=DIR with train.{source}, train.{target}, …)"
        columns_of(dataset, loaded[name].column_names, languages, inside, hint)
        places = {language: f"{dataset}, split {name}, column {language}" for language in languages}
        splits[split] = examined(places, partial(_rows, loaded[name], places, inside is not None))
    return splits


def _languages(dataset: Dataset) -> list[str] | None:
    """Return the languages in the column `translation`; None where there is no such column."""
    feature = dataset.features.get(TRANSLATION)
    if isinstance(feature, dict):
        return list(feature)
    return getattr(feature, "languages", None)


def _rows(dataset: Dataset, names: dict[str, str], nested: bool) -> Iterator[Pair]:
    """Yield the rows of two columns, or of two fields of one; the datasets library memory-maps its files."""
    number = 0
    for batch in dataset.select_columns([TRANSLATION] if nested else list(names)).iter(batch_size=1000):
        columns = (
            [[(row or {}).get(language) for row in batch[TRANSLATION]] for language in names]
            if nested
            else [batch[language] for language in names]
        )
        for values in zip(*columns, strict=True):
            number += 1
            sides = zip(values, names.values(), strict=True)
            source, target = (line_of(value, f"{name}, row {number}") for value, name in sides)
            yield source, target


def _load(dataset: str, source: str, target: str) -> DatasetDict:
    """Call `datasets.load_dataset`, but give up within seconds where there is no network.

    By default it tries six times with growing pauses: half a minute without a name server, minutes behind a firewall
    that drops packets. Here one request decides whether it may use the network; offline it still reads its cache.
    """
    with needed_by(f"{dataset} of the Hugging Face hub"):
        import datasets

    unreachable = hub_unreachable()
    before = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = before or unreachable is not None
    try:
        return datasets.load_dataset(*dataset.split(":", 1))
    except Exception as error:  # the hub, its client and the dataset's format raise different errors
        lines = str(unreachable or error).strip().splitlines()
        reason = lines[0] if lines else type(error).__name__
        raise UserError(
            f"{dataset} could not be loaded from the Hugging Face hub ({reason}); give task.path=DIR, a folder with "
            f"train.{source}, train.{target}, val.{source}, val.{target}, test.{source}, test.{target} (plain or .gz); "
            "task.dataset=NAME:CONFIG chooses one config of a dataset"
        ) from error
    finally:
        datasets.config.HF_HUB_OFFLINE = before


def hub_unreachable() -> str | None:
    """Return the reason why the hub cannot be reached; None where it answers within `HUB_TIMEOUT`."""
    import huggingface_hub

    try:
        huggingface_hub.get_session().head(huggingface_hub.constants.ENDPOINT, timeout=HUB_TIMEOUT)
    except Exception as error:  # proxies and firewalls cause errors of many kinds
        return str(error) or type(error).__name__
    return None
