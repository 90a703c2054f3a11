"""Splits from the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from softlookup.errors import UserError, nearest
from softlookup.task.records import line_of
from softlookup.task.split import STEMS, Pair, Split, examined

if TYPE_CHECKING:
    from datasets import Dataset, DatasetDict

HUB_TIMEOUT = 5.0  # seconds


def read_hub(dataset: str, source: str, target: str) -> dict[str, Split]:
    """The splits of a dataset of the Hugging Face hub, from its local cache where the hub cannot be reached.

    Raises UserError where neither has it, or where it has no such language, or a split is missing or empty.
    """
    loaded = _load(dataset, source, target)
    splits = {}
    for split in STEMS:
        if split not in loaded:
            raise UserError(f"{dataset} has no split {split}; it has {', '.join(loaded)}")
        if not loaded[split].num_rows:
            raise UserError(f"{dataset} has nothing in its split {split}")
        for language in (source, target):
            if language not in loaded[split].column_names:
                raise UserError(
                    f"{dataset} has no language {language}; {nearest(language, loaded[split].column_names)} "
                    f"(or give task.path=DIR with train.{source}, train.{target}, …)"
                )
        names = {language: f"{dataset}, split {split}, column {language}" for language in (source, target)}
        splits[split] = examined(names, partial(_rows, loaded[split], names))
    return splits


def _rows(dataset: Dataset, names: dict[str, str]) -> Iterator[Pair]:
    """The rows of two columns; the datasets library maps its own files into memory."""
    number = 0
    for batch in dataset.select_columns(list(names)).iter(batch_size=1000):
        for values in zip(*(batch[language] for language in names), strict=True):
            number += 1
            sides = zip(values, names.values(), strict=True)
            source, target = (line_of(value, f"{name}, row {number}") for value, name in sides)
            yield source, target


def _load(dataset: str, source: str, target: str) -> DatasetDict:
    """`datasets.load_dataset` that gives up within seconds where there is no network.

    On its own it tries six times with growing pauses: half a minute without a name server, minutes behind a
    firewall that drops packets. One request decides here whether it may use the network at all; offline it
    still reads its own cache.
    """
    import datasets

    unreachable = hub_unreachable()
    before = datasets.config.HF_HUB_OFFLINE
    datasets.config.HF_HUB_OFFLINE = before or unreachable is not None
    try:
        return datasets.load_dataset(dataset)
    except Exception as error:  # the hub, its client and the dataset's format each have errors of their own
        lines = str(unreachable or error).strip().splitlines()
        reason = lines[0] if lines else type(error).__name__
        raise UserError(
            f"{dataset} could not be loaded from the Hugging Face hub ({reason}); give task.path=DIR, a folder with "
            f"train.{source}, train.{target}, val.{source}, val.{target}, test.{source}, test.{target} (plain or .gz)"
        ) from error
    finally:
        datasets.config.HF_HUB_OFFLINE = before


def hub_unreachable() -> str | None:
    """Why the hub cannot be reached, or None where it answers within `HUB_TIMEOUT`."""
    import huggingface_hub

    try:
        huggingface_hub.get_session().head(huggingface_hub.constants.ENDPOINT, timeout=HUB_TIMEOUT)
    except Exception as error:  # whatever stands between here and the hub
        return str(error) or type(error).__name__
    return None
