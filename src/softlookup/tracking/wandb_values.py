"""Turn a result row and heat maps into what W&B shows of a run: summary, table by length with line plots, images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from softlookup.heatmaps.heat_map import HeatMap
from softlookup.heatmaps.png import picture

# What runs are filtered, grouped and compared by, besides metrics and cost. The rest of the row is in the run's folder,
# to which the run's config in W&B links, and its settings are that config.
COMPARED = ("id", "experiment", "status", "version", "choices", "seed", "kind", "variant_key", "ended", "longest")
LENGTH_UNIT = "length_unit"
TABLE = "by_length"
BOUNDS = ("low", "high", "count")
# Each of these that was measured has a line plot over length, and its values up to the training length and beyond it
# are in the summary, as `test/beyond/token_accuracy`.
PLOTTED = ("token_accuracy", "bleu_lowercased", "forced/alignment_accuracy")


def summary(row: Mapping[str, Any]) -> dict[str, Any]:
    """Select what people compare from a result row: its metrics, its cost, and `COMPARED`. None values are omitted.

    >>> summary({"metrics": {"test/bleu": 7.0}, "seed": 1, "choices": {"task": "copy"}, "by_length": [{"low": 2}]})
    {'test/bleu': 7.0, 'choices/task': 'copy', 'seed': 1}
    """
    found = {**row.get("metrics", {}), **row.get("cost", {})}
    for part in row.get("ranges") or []:
        found |= {f"test/{part['range']}/{name}": part.get(name) for name in PLOTTED}
    for name in (*COMPARED, LENGTH_UNIT):
        value = row.get(name)
        found |= {f"{name}/{key}": inner for key, inner in value.items()} if isinstance(value, dict) else {name: value}
    return {name: value for name, value in found.items() if value is not None}


def length_columns(row: Mapping[str, Any]) -> tuple[list[str], list[list[Any]]]:
    """Return columns and rows of the table by source length: low, high, length (their middle), count, and all measures.

    A measure that is absent from a bucket is None there. Without buckets there are no rows.

    >>> length_columns({"by_length": [{"low": 2, "high": 5, "count": 7, "bleu": None}]})
    (['low', 'high', 'length', 'count', 'bleu'], [[2, 5, 3.5, 7, None]])
    """
    buckets = row.get(TABLE) or []
    measures = list(dict.fromkeys(name for bucket in buckets for name in bucket if name not in BOUNDS))
    lines = [
        [
            bucket["low"],
            bucket["high"],
            (bucket["low"] + bucket["high"]) / 2,
            bucket["count"],
            *map(bucket.get, measures),
        ]
        for bucket in buckets
    ]
    return ["low", "high", "length", "count", *measures], lines


def length_plots(row: Mapping[str, Any], run: Any) -> dict[str, Any]:
    """Return the table by length, and a line plot over length for each measure in `PLOTTED`, as wandb's objects by key;
    empty if there are no buckets.

    The table is a file of the `run`. wandb would also make an artifact of a table that belongs to no run yet: it would
    wait for the server, for however long that takes, and write into the user's home, offline too.
    """
    import wandb

    columns, lines = length_columns(row)
    if not lines:
        return {}
    table = wandb.Table(columns=list(columns), data=list(lines))
    table.bind_to_run(run, TABLE, run.step)
    measured = [name for name in PLOTTED if any(bucket.get(name) is not None for bucket in row[TABLE])]
    axis = f"source length ({row.get(LENGTH_UNIT, 'tokens')})"
    return {TABLE: table} | {
        f"{TABLE}/{name}": wandb.plot.line(table, x="length", y=name, title=f"{name} by {axis}") for name in measured
    }


def images(heat_maps: Sequence[HeatMap]) -> dict[str, Any]:
    """Return heat maps as wandb's images, with source and target as caption, by key.

    Each has its own key, since W&B requires images in a list to have equal sizes.
    """
    return {f"alignments/{i}": _image(heat_map) for i, heat_map in enumerate(heat_maps)}


def _image(heat_map: HeatMap) -> Any:
    import wandb

    drawn, _ = picture([("", heat_map)])
    return wandb.Image(drawn, caption=f"{' '.join(heat_map.source)} → {' '.join(heat_map.target)}")
