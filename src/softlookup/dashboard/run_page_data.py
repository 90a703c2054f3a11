"""Collect what the page of a run shows, as JSON values. No torch."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from softlookup.analysis.load import alignments
from softlookup.analysis.measures import measure, title
from softlookup.analysis.spans import label
from softlookup.analysis.tables import kept_text, shown
from softlookup.dashboard.run_settings import beside_defaults
from softlookup.errors import UserError
from softlookup.heatmaps.html import payload, thousandths
from softlookup.runs import validated_files
from softlookup.runs.expectations import BrokenError, number
from softlookup.runs.run_id import flat
from softlookup.runs.validated_files import BOUNDS
from softlookup.system import atomic_files

PAGE = "run.html"
FIRST = ("token_accuracy", "exact_match", "forced/token_accuracy", "bleu_lowercased", "forced/alignment_accuracy")
NAMED = ("paper", "size", "encoder", "decoder")  # choices that the sentence names besides attention and task
LOG_LINES, LOG_BYTES = 60, 8000
CONFIG_BYTES = 20_000
MAPS_BYTES = 220_000  # of the JSON of all heat maps of a page
_ORIGINS = {"init_from": "started from the weights of", "continue_from": "continues"}
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def run_data(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return all data of a run's page; `row` is the run's, from `analysis.load.read`.

    A file that is absent or invalid leaves its part out, and a note says why.
    """
    folder, notes = Path(row["folder"]), []
    result: dict[str, Any] = {}
    if row["status"] == "finished":
        try:
            result = validated_files.result(folder / "result.json")
        except BrokenError as error:  # replaced since it was listed
            notes.append(f"{error}.")
    known = row["validations"]
    records, fault = (known, "") if known else validated_files.validations(folder / "metrics.jsonl")
    examples, left_out = _examples(folder)
    choices = result.get("choices") or _choices(folder)
    return {
        "id": row["id"],
        "experiment": row["experiment"],
        "state": row["status"],
        "reason": row["reason"],
        "sentence": sentence(row, choices, result),
        "notes": [*notes, *([f"{fault}."] if fault and records else []), *left_out],
        "tables": [table for table in (_metrics(result), _by_length(result), _cost(result), _heads(result)) if table],
        "curves": _curves(records),
        "examples": examples,
        "settings": beside_defaults(choices, row["settings"]),
        "provenance": [
            [key.removeprefix("."), _plain(value)] for key, value in flat({"": result.get("provenance") or {}})
        ],
        "config": _tail(folder / "config.yaml", CONFIG_BYTES),
        "log": "\n".join(_tail(folder / "log.txt", LOG_BYTES).split("\n")[-LOG_LINES:]),
        "files": list(_files(folder)),
    }


def sentence(row: Mapping[str, Any], choices: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """Say in words what a run is: its parts, its task, its seed, and how long it was trained."""
    parts = [f"{key} {choices[key]}" for key in NAMED if key in choices]
    parts += [f"{key}={_plain(value)}" for key, value in choices.items() if "." in key or key == "budget"]
    seed = f", seed {row['seed']}" if row["seed"] >= 0 else ""
    name = choices.get("attention", row["variant"])
    named = f"{name} ({', '.join(parts)})" if parts else name
    what = f"{named} on {row['task']}{seed}"
    if not result:
        return f"{what}. There is no result: nothing was measured."
    metrics = result.get("metrics", {})
    tokens = metrics.get("train/tokens")
    longest = f", with sources of up to {result['longest']:g} {result.get('length_unit', 'tokens')}"
    trained = f"Trained on {tokens:,} target tokens" if isinstance(tokens, int) else "Trained"
    trained += longest if result.get("longest") else ""
    kept = f"; measured with {kept_text(result['kept'])}" if result.get("kept") else ""
    further = [f"{words} {row[key]}" for key, words in _ORIGINS.items() if row.get(key)]
    return f"{what}. {trained}{kept}{''.join(f'; {one}' for one in further)}."


def _plain(value: Any) -> str:
    return "absent" if value is None else value if isinstance(value, str) else json.dumps(value)


def _value(name: str, value: Any) -> str:
    """Return a measured value as text with its unit; `absent` for None."""
    if value is None or isinstance(value, str):
        return value or "absent"
    known = measure(name)
    if known.unit == "nats":
        return f"{value:.4f} nats"
    if isinstance(value, int) and known.scale == 1:
        return f"{value:,}"
    return shown(name, float(value))


def _metrics(result: Mapping[str, Any]) -> dict[str, Any] | None:
    found = {name: value for name, value in result.get("metrics", {}).items() if not name.startswith("train/")}
    rows = [_line(name, value) for name, value in sorted(found.items(), key=_importance) if value is not None]
    absent = sorted({title(name) for name, value in found.items() if value is None})
    note = f"Not measured: {', '.join(absent)}." if absent else ""
    return _table("Result", ("measure", "value", "better", "meaning"), rows, note)


def _importance(one: tuple[str, Any]) -> tuple[int, bool]:
    """Sort key of a measure: what FIRST names first, then free decoding before teacher forcing."""
    plain = one[0].removeprefix("test/")
    return (FIRST.index(plain) if plain in FIRST else len(FIRST), plain.startswith(("forced/", "validation/")))


def _line(name: str, value: Any) -> list[str]:
    known = measure(name)
    return [known.title, _value(name, value), known.better, known.meaning]


def _cost(result: Mapping[str, Any]) -> dict[str, Any] | None:
    train = {name: value for name, value in result.get("metrics", {}).items() if name.startswith("train/")}
    rows = [_line(name, value) for name, value in (train | result.get("cost", {})).items() if value is not None]
    return _table("Training and cost", ("measure", "value", "better", "meaning"), rows)


def _by_length(result: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return quality up to and beyond the longest training length, then for each bucket."""
    longest, unit = result.get("longest"), result.get("length_unit", "tokens")
    parts = [*result.get("ranges", []), *result.get("by_length", [])]
    names = sorted(
        {name for part in parts for name, value in part.items() if value is not None and _measured(name, part)},
        key=lambda name: (*_importance((name, 0)), name),
    )
    rows = []
    for part in parts:
        known = longest is not None
        side = part.get("range") or (("trained" if part["high"] <= longest else "beyond") if known else "")
        cells = [_bounded(name, part) for name in names]
        rows.append([label(part), side, f"{part['count']:,}", *cells])
    columns = (f"source length ({unit})", "training", "examples", *map(title, names))
    note = f"Training lengths end at {longest:g} {unit}." if longest is not None else ""
    return _table("By source length", columns, rows, note)


def _measured(name: str, part: Mapping[str, Any]) -> bool:
    return name not in (*BOUNDS, "range") and not (name.endswith(("_low", "_high")) and name.rpartition("_")[0] in part)


def _bounded(name: str, part: Mapping[str, Any]) -> str:
    """Return a value with the bounds that the run's own bootstrap gave, if there are any."""
    ends = [part.get(f"{name}_{end}") for end in ("low", "high")]
    text = _value(name, part.get(name))
    return text if None in ends or part.get(name) is None else f"{text} [{ends[0]:.1f}, {ends[1]:.1f}]"


def _heads(result: Mapping[str, Any]) -> dict[str, Any] | None:
    heads = result.get("heads", [])
    names = [name for name in (heads or [{}])[0] if name not in ("layer", "head")]
    rows = [
        [f"layer {head['layer']:g}, head {head['head']:g}", *(_value(f"forced/{n}", head.get(n)) for n in names)]
        for head in heads
    ]
    return _table("Heads", ("weights", *(title(f"forced/{name}") for name in names)), rows)


def _table(heading: str, columns: Sequence[str], rows: list[list[str]], note: str = "") -> dict[str, Any] | None:
    return {"title": heading, "columns": list(columns), "rows": rows, "note": note} if rows else None


def _choices(folder: Path) -> dict[str, Any]:
    """Return the choices of a run without a result."""
    try:
        return dict(validated_files.config(folder / "config.yaml")["choices"])
    except BrokenError:
        return {}


def _curves(records: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what was validated, as points by target tokens and by seconds; a curriculum only where it changes."""
    names = sorted({name for record in records for name in record if name.startswith("validation/")})
    if len({record.get("curriculum/length") for record in records}) > 1:
        names.append("curriculum/length")
    known = {name: measure(name) for name in names}
    return {
        "tokens": [record["tokens"] for record in records],
        "seconds": [record["seconds"] if number(record.get("seconds")) else None for record in records],
        "measures": [
            {
                "name": one.title,
                "unit": one.unit,
                "values": [None if record.get(name) is None else record[name] / one.scale for record in records],
            }
            for name, one in known.items()
        ],
    }


def _examples(folder: Path) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the heat maps of a run, and notes of what is broken or left out for its size."""
    try:
        found = alignments(folder)
    except UserError as error:
        return [], [f"{error}."]
    examples, used, left = [], 0, []
    for place, one in enumerate(found, start=1):
        drawn = payload(one) | {"reference": one.reference, "layers": {}}
        used += len(json.dumps(drawn))
        if used > MAPS_BYTES:
            left.append(f"examples from {place}")
            break
        for name, weights in one.layers.items():
            listed = thousandths(weights)
            size = len(json.dumps(listed, separators=(",", ":")))
            if used + size > MAPS_BYTES:
                left.append(f"the {name} of example {place}")
                continue
            used += size
            drawn["layers"][name] = listed
        examples.append(drawn)
    note = f"Left out for their size: {', '.join(left)}. alignments.npz has all weights."
    return examples, [note] if left else []


def _tail(path: Path, size: int) -> str:
    """Return the end of a text file, from the first whole line, without terminal colours; "" without a file."""
    try:
        content = atomic_files.content(path)
    except OSError:
        return ""
    text = content[-size:].decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return _ESCAPES.sub("", text if len(content) <= size else text.partition("\n")[2]).rstrip("\n")


def _files(folder: Path) -> Iterator[list[Any]]:
    """Yield name and size of the files of a run, those of its checkpoints included."""
    for place in (folder, folder / "checkpoints"):
        try:
            inside = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in inside:
            if entry.name != PAGE and not entry.name.startswith(".") and entry.is_file():
                name = str(Path(entry.path).relative_to(folder))
                yield [name.encode("utf-8", "backslashreplace").decode(), entry.stat().st_size]
