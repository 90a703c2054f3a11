"""Show what a run of the GPU report found as one table. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.table import Table

_MB = 1e6


def table(results: Mapping[str, Mapping[str, Any]]) -> Table:
    """Make the table of all sections; what was not measured is left out, with the reason."""
    shown = Table("section", "", "", box=None, title=None, show_header=False)
    makers = {
        "machine": _machine,
        "tests": _tests,
        "throughput": _throughput,
        "memory": _memory,
        "sweep": _sweep,
        "kernel": _kernel,
    }
    for name, result in results.items():
        label: str = name
        if result["state"] != "finished":
            shown.add_row(label, "", str(result["state"]))
            label = ""
        for what, value in makers[name](result["found"]) if result["found"] else []:
            shown.add_row(label, what, value)
            label = ""
    return shown


Rows = list[tuple[str, str]]


def _machine(found: Mapping[str, Any]) -> Rows:
    card = (
        f"{found['card']}, {found['card_bytes'] / 1e9:.0f} GB, driver {found['driver']}" if "card" in found else "none"
    )
    rows = [("card", card), ("torch", f"{found['torch']}, CUDA {found['cuda']}, cuDNN {found['cudnn']}")]
    rows += [("processor", f"{found['machine']['model']}, {found['machine']['cores']} cores")]
    return [*rows, *([("missing", "skipped: " + ", ".join(found["missing"]))] if found["missing"] else [])]


def _tests(found: Mapping[str, Any]) -> Rows:
    if "passed" not in found:
        return [("no report", " ".join(found["output"][-1:]))]
    rows = [("tests", f"{found['passed']} passed, {found['failed']} failed, {found['skipped']} skipped")]
    rows += [("combinations", f"{found['combinations']:,} equal those on the CPU")] if found["combinations"] else []
    rows += [(name, f"{value:.1e}") for name, value in found.items() if name.startswith("worst")]
    failures = list(found["failures"].items())
    rows += [(f"failed {name}"[:60], reason.splitlines()[0][:100] if reason else "") for name, reason in failures[:8]]
    return rows + ([("", f"and {len(failures) - 8} more")] if len(failures) > 8 else [])


def _throughput(found: Mapping[str, Any]) -> Rows:
    rows: Rows = []
    for name, model in found["models"].items():
        speeds = {kind: model["tokens"] / step["median"] for kind, step in model["seconds"].items()}
        base = speeds.get("processor")
        cells = [f"{kind} {speed:,.0f}" + (f" ({speed / base:.1f}×)" if base else "") for kind, speed in speeds.items()]
        rows += [(name, "target tokens/s: " + "; ".join(cells))]
        if "synchronizations" in model:
            work = [f"{model['synchronizations']} synchronizations"]
            if "busy_share" in model:
                work = [f"busy {model['busy_share']:.0%}, {model['launches']:,} launches", *work]
            rows += [("", "a step: " + ", ".join(work))]
    return rows + [(f"left out: {name}", reason[:100]) for name, reason in found["left_out"].items()]


def _memory(found: Mapping[str, Any]) -> Rows:
    rows: Rows = []
    for name, peak in found.items():
        tracked, allocated = peak["peak_bytes"], peak.get("cuda_max_memory_allocated")
        beside = f", allocator {allocated / _MB:,.1f} MB, ratio {tracked / allocated:.3f}" if allocated else ""
        rows += [(name, f"tracked {tracked / _MB:,.1f} MB{beside}")]
    return rows


def _sweep(found: Mapping[str, Any]) -> Rows:
    rows: Rows = []
    for workers in (2, 1):
        one = found.get(f"workers={workers}")
        if one is not None:
            rows += [(f"workers={workers}", f"{one['seconds']:.1f} s, {one['finished']} of {found['runs']} finished")]
            rows += [("", line[:110]) for line in one.get("output", [])[-3:]]
    return rows + ([("equal rows", f"{found['equal']} of {found['runs']}")] if "equal" in found else [])


def _kernel(found: Mapping[str, Any]) -> Rows:
    rows = [("additive attention", str(found["shape"]))]
    for name, way in found["ways"].items():
        shown = f"{1e3 * way['seconds']['median']:.2f} ms" if "seconds" in way else "not timed"
        peak = way.get("cuda_max_memory_allocated")
        rows.append((f"  {name}", shown if peak is None else f"{shown}, {peak / 1e6:,.0f} MB allocated"))
    return rows + [(f"  {name}", f"left out: {reason}"[:110]) for name, reason in found["left_out"].items()]
