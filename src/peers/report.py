"""Summarize the speeds of the benchmark: medians and ratios with their spread, as one table."""

import statistics
from collections.abc import Mapping
from typing import Any

from rich.table import Table

from peers.workload import padding

OURS, BASELINE = "softlookup", "CTranslate2"
# Tokens per second of each system in every round, by cell.
Speeds = dict[str, dict[str, list[float]]]
DIFFERS = (
    "Differences. Batches are sorted by length within a pool of 16, as all systems but JoeyNMT do by themselves: "
    "JoeyNMT's own batches have more padding. The rnn of the peers attends after a GRU step and feeds the attentional "
    "state into the next step; our rnn attends before the step (decoder=bahdanau), so the context enters the step "
    "instead; rnn (luong) does as the peers, with LSTM cells. Widths of ours are chosen so that all have the same "
    "number of parameters. The transformers have the same layers and the same parameters; JoeyNMT's recomputes every "
    "prefix (it has no cache). The beam of OpenNMT-py and of Eole starts with five copies of each sentence, ours with "
    "one. Penalties are off; no system keeps attention weights, except JoeyNMT's greedy rnn, which always does. "
    "Cells in bf16 are ours alone, and timed where products in bf16 are faster than in float32. "
    "CTranslate2 is a runtime in C++ for trained transformers, without training: it is no part of the best peer."
)


def summary(
    found: Speeds, floors: Mapping[str, Mapping[str, float]], work: Mapping[str, Any], clock: str
) -> dict[str, dict[str, Any]]:
    """Return for every cell the tokens per second of each system by round, the ratios of ours to the best peer and to
    CTranslate2 by round, and of a training cell the floor of its matrix products.

    A second model of ours is compared with the same model of the peers. `share` is that of the matrix products, timed
    alone, in the median time of a round; `rate` is theirs in floating-point operations per second.
    """
    shown: dict[str, dict[str, Any]] = {}
    for cell, speeds in found.items():
        beside = {name: rates for name, rates in found.get(_of_peers(cell), {}).items() if name != OURS}
        best = [max(rates) for rates in zip(*(v for name, v in beside.items() if name != BASELINE), strict=True)]
        ours = speeds.get(OURS, [])
        shown[cell] = {"tokens_per_second": {**beside, **speeds}}
        shown[cell] |= _ratio("best_peer", ours, best) | _ratio(BASELINE, ours, beside.get(BASELINE, []))
        if cell in floors and ours:
            floor, batches = floors[cell], work["batches"]["training"]
            tokens = sum(word != 0 for batch in batches for row in batch["target"] for word in row)
            share = floor[clock] / (tokens / statistics.median(ours))
            shown[cell]["floor"] = {**floor, "share": share, "rate": floor["flops"] / floor[clock]}
    return shown


def _of_peers(cell: str) -> str:
    """Return the cell of the peers that one of ours is compared with: "rnn (luong) greedy" → "rnn greedy"."""
    model, _, kind = cell.rpartition(" ")
    return f"{model.partition(' ')[0]} {kind}"


def _ratio(name: str, ours: list[float], theirs: list[float]) -> dict[str, Any]:
    pairs = zip(ours, theirs, strict=True) if ours and theirs else ()
    ratios = [one / other for one, other in pairs]
    return {f"ratio_to_{name}": ratios} if ratios else {}


def table(cells: Mapping[str, Mapping[str, Any]], systems: list[str]) -> Table:
    """Make the table of cells by systems: medians over rounds, and of each ratio also the lowest and the highest."""
    ratios = {"ratio_to_best_peer": "× best peer", f"ratio_to_{BASELINE}": f"× {BASELINE}"}
    shown = Table("", *systems, *ratios.values(), "products", box=None)
    for column in shown.columns:
        column.no_wrap = True
    for cell, row in cells.items():
        speeds = row["tokens_per_second"]
        medians = [f"{statistics.median(speeds[name]):,.0f}" if name in speeds else "" for name in systems]
        spreads = [_spread(row[ratio]) if ratio in row else "" for ratio in ratios]
        floor = row.get("floor")
        products = f"{floor['share']:.0%} at {floor['rate'] / 1e9:.0f} GFLOP/s" if floor else ""
        shown.add_row(cell, *medians, *spreads, products)
    return shown


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def conditions(held: Mapping[str, Any], work: Mapping[str, Any]) -> str:
    """Describe how the figures of the table were measured."""
    unit = "second" if held["clock"] == "wall" else "second of processor time"
    shares = padding(work["batches"]["training"])
    before, after = held["load"]
    lines = [
        f"target tokens a {unit}: medians of {held['rounds']} rounds, ratios by round (lowest–highest); "
        f"{held['batches']} × 64 sentences a round",
        f"lengths: {held['lengths']}; padding of the training batches: {shares['source']:.0%} of the source, "
        f"{shares['target']:.0%} of the target",
        "products: share of our step that its matrix products take alone, and their speed, forward and backward",
        f"{work['steps']} forced steps, beam {work['beam']}, float32, CPU, {held['threads']} threads",
        f"load of the machine before and after: {before:.1f}, {after:.1f}; {held['machine']['cores']} processors, "
        f"{held['machine']['model']}",
    ]
    for system in held["systems"].values():
        sizes = ", ".join(f"{name} {count / 1e6:.2f} M" for name, count in system["parameters"].items())
        lines.append(f"{system['version']}: parameters {sizes}")
    lines += [f"{name} is left out: it is not installed" for name in held["not_installed"]]
    return "\n".join([*lines, DIFFERS])
