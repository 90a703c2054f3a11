"""Read and validate the files of a run: raise `BrokenError` with the file's name.

Any of them may be truncated, overwritten, of another shape, or deleted at any moment. No torch.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from softlookup.config.run_config import RunConfig
from softlookup.errors import UserError
from softlookup.runs.expectations import (
    BrokenError,
    bounded,
    check_identity,
    check_kept,
    check_variant,
    expect,
    mapping,
    measures,
    number,
    number_or_none,
)
from softlookup.runs.run_id import VERSION, names_seed, run_id, settings, variant_key
from softlookup.system import atomic_files

BOUNDS = ("low", "high", "count")
RANGES = ("trained", "beyond")  # source lengths up to the longest of training, and longer ones
WORDS = ("source", "target", "reference")
LAYERS = {"lookups": ("target", "source"), "encoder": ("source", "source"), "decoder": ("target", "target")}
KINDS = ("fixed", "lookup", "weightless")  # of attention, as in `contract.Kind`
UNITS = ("tokens", "words", "characters")  # in which the lengths of by_length are counted


@dataclass(frozen=True)
class Alignment:
    """Hold one example's lookup: weights (T, S), gold (T, S) booleans, the words of source, output and reference, and
    the weights of layers and heads that the run kept: `lookups` (layers, H, T, S), `encoder` (layers, H, S, S) and
    `decoder` (layers, H, T, T)."""

    weights: np.ndarray
    gold: np.ndarray
    source: list[str]
    target: list[str]
    reference: list[str]
    layers: dict[str, np.ndarray] = field(default_factory=dict)


def plan(path: Path) -> list[dict[str, Any]] | None:
    """Read the cells of a plan.json, each with id (a plain name), choices, seed, variant_key, settings, tuned and, if
    widths were solved, matched.

    Returns None for a plan of another version of the code, whose runs have other names.
    """
    content = mapping(_json(path), f"{path.name} is")
    if "planned" in content and content.get("version") != VERSION:
        return None
    cells = content.get("planned")
    expect(isinstance(cells, list), f"{path.name}: planned", "a list")
    for place, cell in enumerate(cells or []):
        where = f"{path.name}: planned[{place}]"
        name = mapping(cell, f"{where} is").get("id")
        expect(isinstance(name, str) and _plain(name), f"{where}.id", "the name of a run")
        check_identity(cell, where)
        check_variant(cell, where)
    runs = {cell["id"]: (cell["variant_key"], cell["seed"]) for cell in cells or []}
    expect(len(set(runs.values())) == len(runs), f"{path.name}: planned", "of different variants and seeds")
    return cells or []


def result(path: Path) -> dict[str, Any]:
    """Read the row of a result.json: finished, with the id of its folder, and with numbers where numbers belong.

    In a row of another version of the code, only id, choices and seed are checked and comparable.
    """
    row = mapping(_json(path), f"{path.name} is")
    expect(row.get("status") == "finished", f"{path.name}: status", "finished")
    expect(row.get("id") == path.parent.name, f"{path.name}: id", "the name of its folder")
    check_identity(row, path.name)
    if row.get("version") != VERSION:
        return row
    check_variant(row, path.name)
    expect(row.get("length_unit", UNITS[0]) in UNITS, f"{path.name}: length_unit", f"one of {', '.join(UNITS)}")
    named = all(isinstance(row["choices"].get(key), str) for key in ("task", "attention"))
    expect(named, f"{path.name}: choices", "with a task and an attention")
    expect(row.get("kind") in KINDS, f"{path.name}: kind", f"one of {', '.join(KINDS)}")
    expect(names_seed(row["id"], row["seed"]), f"{path.name}: seed", "the one in the name of its folder")
    for part in ("metrics", "cost"):
        for name, value in mapping(row.get(part, {}), f"{path.name}: {part} is").items():
            expect("/" in name, f"{path.name}: {part}.{name}", "a measure, as in test/bleu")
            expect(isinstance(value, str) or number_or_none(value), f"{path.name}: {part}.{name}", "a number or null")
    for name in ("init_from", "continued"):
        run = mapping(row.get(name) or {"run": ""}, f"{path.name}: {name} is").get("run")
        expect(isinstance(run, str), f"{path.name}: {name}.run", "the id of a run")
    check_kept(mapping(row.get("kept") or {}, f"{path.name}: kept is"), f"{path.name}: kept")
    expect(number_or_none(row.get("longest")), f"{path.name}: longest", "a number or null")
    for name, keys, unique in (
        ("by_length", BOUNDS, ("low", "high")),
        ("ranges", BOUNDS, ("range",)),
        ("heads", ("layer", "head"), ("layer", "head")),
    ):
        measures(row.get(name, []), f"{path.name}: {name}", keys, unique)
    named = all(part["range"] in RANGES for part in row.get("ranges", []))
    expect(named, f"{path.name}: ranges", f"of {' and '.join(RANGES)}")
    return row


def config(path: Path) -> dict[str, Any]:
    """Read choices and seed of a config.yaml; the variant too, if this version of the code gives the folder its
    name."""
    try:
        content = yaml.safe_load(atomic_files.content(path).decode())
    except Exception as error:  # PyYAML's constructors raise many types of errors
        raise BrokenError(f"{path.name} cannot be read") from error
    found = mapping(content, f"{path.name} is")
    check_identity(found, path.name)
    # YAML aliases can expand to billions of values: only plain ones are read.
    plain = all(value is None or isinstance(value, str | bool) or number(value) for value in found["choices"].values())
    expect(plain, f"{path.name}: choices", "plain values")
    known = {"choices": found["choices"], "seed": found["seed"]}
    try:
        whole = RunConfig.of(found) if bounded(found) else None
        if whole is not None and run_id(whole) == path.parent.name:
            known |= {"version": VERSION, "variant_key": variant_key(whole), "settings": settings(whole)}
            known["tuned"] = list(whole.tuned)
            known["matched"] = {} if whole.matched is None else whole.matched.plain()
            check_variant(known, path.name)
    except (
        UserError,
        KeyError,
        TypeError,
        ValueError,
        RecursionError,
        AttributeError,
    ):  # no config as this version of the code writes it
        pass
    return known


def timing(path: Path) -> dict[str, Any]:
    """Read a timing.json: `steps` and `decoding` have seconds as median, q1 and q3 by variant_key; `left_out` has
    reasons."""
    content = mapping(_json(path), f"{path.name} is")
    expect(content.get("version") == VERSION, f"{path.name}: version", "that of this code")
    for part in ("steps", "decoding"):
        for key, timed in mapping(content.get(part), f"{path.name}: {part} is").items():
            where = f"{path.name}: {part}.{key}"
            quartiles = [mapping(timed, f"{where} is").get(name) or 0 for name in ("q1", "median", "q3")]
            good = all(map(number, quartiles)) and quartiles[0] > 0 and quartiles == sorted(quartiles)
            expect(good, where, "0 < q1 ≤ median ≤ q3")
    reasons = mapping(content.get("left_out", {}), f"{path.name}: left_out is").values()
    expect(all(isinstance(reason, str) for reason in reasons), f"{path.name}: left_out", "reasons")
    return content


def validations(path: Path) -> tuple[list[dict[str, Any]], str]:
    """Return the records of a metrics.jsonl up to the first broken one, and a description of what is wrong with it.

    A last line without a newline was torn by a kill; it is ignored and is no error.
    """
    records: list[dict[str, Any]] = []
    try:
        lines = atomic_files.content(path).split(b"\n")[:-1]
        for place, line in enumerate(lines, start=1):
            where = f"{path.name}, line {place}"
            record = mapping(_decoded(line, where), f"{where} is")
            expect(number(record.get("step")) and number(record.get("tokens")), where, "with step and tokens")
            drawn = (k for k in record if k.startswith("validation/") or k == "curriculum/length")
            wrong = next((name for name in drawn if not number_or_none(record[name])), None)
            expect(wrong is None, f"{where}: {wrong}", "a number or null")
            records.append(record)
    except OSError as error:
        return [], f"{path.name} cannot be read ({error.strerror}): no learning curve"
    except BrokenError as error:
        return records, f"{error}: the learning curve ends there"
    return records, ""


def alignments(path: Path) -> list[Alignment]:
    """Return the examples of an alignments.npz."""
    try:
        # Read the bytes first: for a file that is no archive, NumPy leaves it open.
        with io.BytesIO(atomic_files.content(path)) as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        count = sum(name.startswith("weights_") for name in arrays)
        found = [
            Alignment(
                arrays[f"weights_{i}"],
                arrays[f"gold_{i}"],
                **{name: arrays[f"{name}_{i}"].tolist() for name in WORDS},
                layers={name: arrays[f"{name}_{i}"] for name in LAYERS if f"{name}_{i}" in arrays},
            )
            for i in range(count)
        ]
    except Exception as error:  # zipfile, zlib and NumPy raise many types of errors
        raise BrokenError(f"{path.name} cannot be read") from error
    for place, one in enumerate(found):
        where = f"{path.name}: example {place}"
        for words in (one.source, one.target, one.reference):
            expect(isinstance(words, list) and all(isinstance(word, str) for word in words), where, "made of words")
        expect(one.weights.dtype.kind == "f" and one.gold.dtype.kind == "b", where, "weights and gold")
        shape = (len(one.target), len(one.source))
        expect(one.weights.shape == one.gold.shape == shape, where, f"of shape {shape}, as its words are")
        for name, weights in one.layers.items():
            sides = tuple(len(getattr(one, side)) for side in LAYERS[name])
            fits = weights.dtype.kind == "f" and weights.ndim == 4 and weights.shape[2:] == sides
            expect(fits, f"{where}: {name}", f"weights of shape (layers, heads, {sides[0]}, {sides[1]})")
    return found


def _json(path: Path) -> Any:
    try:
        return _decoded(atomic_files.content(path), path.name)
    except OSError as error:
        raise BrokenError(f"{path.name} is absent or cannot be read ({error.strerror})") from error


def _decoded(content: bytes, where: str) -> Any:
    try:
        found = json.loads(content.decode())
        if b"\\u" in content:  # half of a surrogate pair is valid JSON but not valid text
            json.dumps(found, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise BrokenError(f"{where} is no JSON") from error
    return found


def _plain(name: str) -> bool:
    """Return whether a string can be the name of a folder; a slash would make it a path."""
    return name not in ("", ".", "..") and not set(name) & set("/\0") and len(name.encode()) < 256
