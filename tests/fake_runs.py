"""Write a folder of fake runs with metrics from simple formulas: two tasks, three variants, three seeds.

One run failed, one was never started, and some names are markup or scripts.

As a program it writes a thousand runs and prints how many seconds the dashboard and the tables take:

    python tests/fake_runs.py RUNS_DIR [variants=5] [tasks=2] [seeds=100]
"""

import hashlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from softlookup.runs.run_id import VERSION

SCRIPT = "<script>window.hacked=1</script>"
IMAGE = "<img src=x onerror=window.hacked=1>"
TEMPLATE = "%{x} <b>bold</b> &amp; {{data}}"
TASKS = ("reverse", "<i>grammar</i>")
VARIANTS = ("fixed_mean", "additive", SCRIPT)
LONGEST = 10
EXAMPLES = (["<b>die</b>", SCRIPT, IMAGE, TEMPLATE, "schläft", "nicht"], [*"abcdefghijk"])
# Further measures of a real run, so that a large folder has realistic sizes.
BESIDES = (
    "gold_mass",
    "aer",
    "entropy",
    "effective_positions",
    "best_offset_accuracy",
)


def make(
    runs_dir: Path, experiment: str = "bottleneck", tasks: tuple[str, ...] = TASKS,
    variants: tuple[str, ...] = VARIANTS, seeds: int = 3, full: bool = False,
) -> Path:  # fmt: skip
    """Write the runs. The last cell was never started; seed 1 of the last variant of the first task failed.

    With `full`, runs have all measures of real runs, and as many alignments.
    """
    cells = [
        planned(f"{v}-{t}-s{s}".replace("/", "_"), {"task": t, "encoder": "gru", "attention": v}, s)
        for t in tasks
        for v in variants
        for s in range(1, seeds + 1)
    ]
    folder = runs_dir / experiment
    folder.mkdir(parents=True)
    write_plan(folder, cells)
    for cell in cells[:-1]:
        task, variant = cell["choices"]["task"], cell["choices"]["attention"]
        failed = cell["seed"] == 1 and variant == variants[-1] and task == tasks[0]
        rank = variants.index(variant) % 5
        _run(folder / cell["id"], cell, rank, bool(tasks.index(task)), failed)
        if full and not failed:
            _fill(folder / cell["id"], rank)
    return runs_dir


def papers(runs_dir: Path, seeds: int = 1) -> Path:
    """Write experiment `bleu_by_length`: two papers, two training lengths, BLEU with bounds, 8 buckets up to 80.

    BLEU is constant up to 4 times the training length with attention, and up to the training length without it.
    """
    folder = runs_dir / "bleu_by_length"
    parts = {"cho2014": ("cho2014", "fixed_final", "cho2014"), "bahdanau2014": ("bahdanau2014", "additive", "gru")}
    cells = [
        planned(
            f"{paper}-{longest}-s{seed}",
            {"task": "multi30k", "encoder": encoder, "attention": attention, "decoder": decoder, "paper": paper,
             "size": "small", "task.longest": longest},
            seed,
        )
        for paper, (encoder, attention, decoder) in parts.items()
        for longest in (15, 30)
        for seed in range(1, seeds + 1)
    ]  # fmt: skip
    folder.mkdir(parents=True)
    write_plan(folder, cells)
    for cell in cells:
        paper, longest = cell["choices"]["paper"], cell["choices"]["task.longest"]
        _run(folder / cell["id"], cell, 3 if paper == "bahdanau2014" else 1, text=True, failed=False)
        row = json.loads((folder / cell["id"] / "result.json").read_text())
        row["longest"] = longest
        row["by_length"] = [
            {**_bucket(high, 1, cell["seed"], paper == "cho2014", True), **_bleu(paper, longest, high, cell["seed"])}
            for high in range(10, 81, 10)
        ]
        (folder / cell["id"] / "result.json").write_text(json.dumps(row))
    return runs_dir


def planned(name: str, choices: dict, seed: int, settings: dict | None = None, tuned: Sequence[str] = ()) -> dict:
    """Return a cell of a plan. `settings` are added to those implied by the choices (an override is also a setting)."""
    merged = {"budget": 400_000, "optimizer.rate": 0.006, **(settings or {})}
    for key, value in choices.items():
        if "." in key or key == "budget":
            merged[key] = value
        elif key not in ("paper", "size"):
            merged[f"{key}._target_"] = f"softlookup.{key}.{value}"
    identity = {"variant_key": key_of(merged), "settings": merged, "tuned": list(tuned)}
    return {"id": name, "choices": choices, "seed": seed, **identity}


def key_of(settings: dict) -> str:
    """Return the variant_key of settings."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]


def kind_of(cell: dict) -> str:
    """Return the kind of a cell's attention."""
    return "fixed" if str(cell["choices"]["attention"]).startswith("fixed_") else "lookup"


def write_plan(folder: Path, cells: Sequence[dict]) -> None:
    """Write plan.json."""
    folder.mkdir(parents=True, exist_ok=True)
    plan = {"version": VERSION, "experiment": folder.name, "planned": [*cells]}
    (folder / "plan.json").write_text(json.dumps(plan))


def finish(folder: Path, cell: dict, metrics: dict, **more: object) -> None:
    """Write the files of a finished run of a planned cell, below its experiment's folder."""
    (folder / cell["id"]).mkdir(parents=True)
    (folder / cell["id"] / "state.json").write_text('{"state": "finished"}')
    row = {**cell, "experiment": folder.name, "status": "finished", "version": VERSION, "metrics": metrics}
    row |= {"kind": kind_of(cell), "cost": {}, "by_length": [], **more}
    (folder / cell["id"] / "result.json").write_text(json.dumps(row))


def set_timing(folder: Path, medians: dict[str, float]) -> None:
    """Write timing.json: medians by variant_key, lower quartile 10% below, upper quartile 20% above."""
    steps = {key: {"median": m, "q1": 0.9 * m, "q3": 1.2 * m, "tokens": 640} for key, m in medians.items()}
    decoding = {key: {"median": 1e-3 * m, "q1": 1e-3 * m, "q3": 1e-3 * m} for key, m in medians.items()}
    content = {"version": VERSION, "machine": {}, "commit": "0", "dirty": False, "steps": steps, "decoding": decoding}
    (folder / "timing.json").write_text(json.dumps(content))


def _bleu(paper: str, longest: int, high: int, seed: int) -> dict:
    reach = {"bahdanau2014": 4 * longest, "cho2014": longest}[paper]
    bleu = (28 + seed + longest / 5) * min(1.0, (reach / high) ** 1.2)
    return {"low": high - 9, "high": high, "bleu": bleu, "bleu_low": bleu - 1 - high / 40, "bleu_high": bleu + 3}


def accuracy(rank: int, seed: int, length: int = LONGEST) -> float:
    """Return the token accuracy of a variant: it falls with length; later variants start higher and fall later."""
    return (0.5 + 0.09 * rank + 0.01 * (seed % 10)) * min(1.0, (LONGEST * (1 + 0.2 * rank) / length) ** 0.6)


def _run(folder: Path, cell: dict, rank: int, text: bool, failed: bool) -> None:
    folder.mkdir()
    state = (
        {"state": "failed", "reason": f"ValueError: {SCRIPT}", "log": "log.txt"} if failed else {"state": "finished"}
    )
    (folder / "state.json").write_text(json.dumps(state))
    if failed:
        return
    seed, fixed = cell["seed"], kind_of(cell) == "fixed"
    value, aligned = accuracy(rank, seed), None if fixed else min(0.98, 0.3 * rank + 0.01 * (seed % 10))
    metrics = {
        "test/token_accuracy": value, "test/exact_match": value**2, "test/alignment_accuracy": aligned,
        "test/forced/token_accuracy": value, "test/forced/alignment_accuracy": aligned,
        "test/bleu_lowercased": 40 * value if text else None, "validation/loss": 1 - 0.1 * rank,
    }  # fmt: skip
    buckets = [_bucket(n, rank, seed, fixed, text) for n in (5, 10, 15, 20, 30, 40)]
    cost = {
        "cost/parameters": 1000 + 7 * rank, "cost/peak_bytes": 2_000_000 * (1 + rank),
        "cost/flops": 3_000_000 + 500_000 * rank, "cost/state_bytes": 512 if fixed else 512 * LONGEST,
        "cost/seconds_per_step": 0.01 * (1 + (rank * 3) % 5) + 0.0003 * seed, "cost/seconds": 9.5 + rank,
    }  # fmt: skip
    result = {**cell, "experiment": folder.parent.name, "status": "finished", "version": VERSION, "data": {}}
    result |= {"kind": kind_of(cell)}
    result |= {"metrics": metrics, "cost": cost, "by_length": buckets, "longest": LONGEST, "provenance": {}}
    (folder / "result.json").write_text(json.dumps(result))
    points = [_point(step, rank, seed) for step in range(0, 1001, 100)]
    (folder / "metrics.jsonl").write_text("\n".join([*map(json.dumps, points), '{"step": 1100, "tok']))
    if not fixed:
        _alignments(folder / "alignments.npz", rank)


def _bucket(length: int, rank: int, seed: int, fixed: bool, text: bool) -> dict:
    value = accuracy(rank, seed, length)
    aligned = None if fixed else 0.8 * value
    bounds = {"bleu_lowercased_low": 40 * value - 2, "bleu_lowercased_high": 40 * value + 3} if text else {}
    return {
        "low": length - 4 if text else length, "high": length, "count": 64, "token_accuracy": value,
        "exact_match": value**3, "alignment_accuracy": aligned, "bleu_lowercased": 40 * value if text else None,
        **bounds,
    }  # fmt: skip


def _point(step: int, rank: int, seed: int) -> dict:
    rise = 1 - 2.0 ** (-step / 200)
    point = {"step": step, "tokens": 640 * step, "seconds": step / 50, "train/loss": 3 - 2 * rise}
    point |= {"curriculum/length": 4 if step < 500 else LONGEST, "validation/loss": 3 - (2 + 0.1 * rank) * rise}
    return {**point, "validation/token_accuracy": accuracy(rank, seed) * rise}


def _alignments(path: Path, rank: int, examples: Sequence[list[str]] = EXAMPLES) -> None:
    """Write alignments whose weights peak at the mirrored position, more sharply for a higher rank."""
    arrays = {}
    for i, words in enumerate(examples):
        size = len(words)
        at = np.arange(size)
        weights = np.exp(-rank * np.abs(at[:, None] + at[None, :] - (size - 1)))
        gold = at[:, None] + at[None, :] == size - 1
        arrays |= {f"weights_{i}": (weights / weights.sum(1, keepdims=True)).astype(np.float32), f"gold_{i}": gold}
        arrays |= {f"source_{i}": np.array(words), f"target_{i}": np.array(words[::-1])}
        arrays |= {f"reference_{i}": np.array([SCRIPT, *words[::-1]])}
    np.savez_compressed(path, **arrays)


def _fill(folder: Path, rank: int) -> None:
    row = json.loads((folder / "result.json").read_text())
    more = {name: 0.5 + 0.001 * rank for measure in BESIDES for name in (measure, f"forced/{measure}")}
    row["metrics"] |= {f"test/{name}": value for name, value in more.items()}
    row["by_length"] = [{**bucket, **more} for bucket in row["by_length"]]
    (folder / "result.json").write_text(json.dumps(row, indent=1))
    if (folder / "alignments.npz").exists():
        words = [[f"w{i}" for i in range(size)] for size in (9, 11, 6, 16)]
        _alignments(folder / "alignments.npz", rank, words)


def main(arguments: list[str]) -> None:
    """Write the runs unless they exist, then time the dashboard and the export."""
    from softlookup.analysis import csv_export
    from softlookup.dashboard import page

    runs_dir = Path(arguments[0])
    sizes = {"variants": 5, "tasks": 2, "seeds": 100} | {k: int(v) for k, v in (a.split("=") for a in arguments[1:])}
    if not runs_dir.exists():
        variants = ("fixed_mean", *(f"variant_{i:02}" for i in range(1, sizes["variants"])))
        tasks = tuple(f"task_{i}" for i in range(sizes["tasks"]))
        make(runs_dir, "large", tasks, variants, sizes["seeds"], full=True)
    for name, verb, target in (("dashboard", page.write, "dashboard.html"), ("export", csv_export.write, "tables")):
        started, busy = time.perf_counter(), time.process_time()
        written = verb(runs_dir, runs_dir / target)
        size = sum(path.stat().st_size for path in ([written] if written.is_file() else written.iterdir()))
        seconds = f"{time.perf_counter() - started:.1f} s ({time.process_time() - busy:.1f} s of one core)"
        print(f"{name:10} {seconds}  {size / 1e6:.1f} MB  {written}")


if __name__ == "__main__":
    main(sys.argv[1:])
