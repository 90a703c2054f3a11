"""A folder of runs whose numbers follow simple formulas: two tasks, three variants, three seeds; one run failed, one
was never started, and names that would be markup or a script if a page let them."""

import json
from pathlib import Path

import numpy as np

SCRIPT = "<script>window.hacked=1</script>"
TEMPLATE = "%{x} <b>bold</b> &amp; {{data}}"
TASKS = ("reverse", "<i>grammar</i>")
VARIANTS = ("fixed_mean", "additive", SCRIPT)
LONGEST = 10


def make(
    runs_dir: Path, experiment: str = "bottleneck", tasks: tuple[str, ...] = TASKS,
    variants: tuple[str, ...] = VARIANTS, seeds: int = 3,
) -> Path:  # fmt: skip
    """Write the folder. The last cell was never started; seed 1 of the last variant of the first task failed."""
    cells = [
        {"id": f"{v}-{t}-s{s}".replace("/", "_"), "choices": {"task": t, "encoder": "gru", "attention": v}, "seed": s}
        for t in tasks
        for v in variants
        for s in range(1, seeds + 1)
    ]
    folder = runs_dir / experiment
    folder.mkdir(parents=True)
    (folder / "plan.json").write_text(json.dumps({"experiment": experiment, "planned": cells}))
    for cell in cells[:-1]:
        task, variant = cell["choices"]["task"], cell["choices"]["attention"]
        failed = cell["seed"] == 1 and variant == variants[-1] and task == tasks[0]
        _run(folder / cell["id"], cell, variants.index(variant), bool(tasks.index(task)), failed)
    return runs_dir


def accuracy(rank: int, seed: int, length: int = LONGEST) -> float:
    """Token accuracy of the variant of that rank: all fall with length, later variants from higher, less steeply."""
    return (0.5 + 0.09 * rank + 0.01 * seed) * min(1.0, (LONGEST * (1 + 0.2 * rank) / length) ** 0.6)


def _run(folder: Path, cell: dict, rank: int, text: bool, failed: bool) -> None:
    folder.mkdir()
    state = (
        {"state": "failed", "reason": f"ValueError: {SCRIPT}", "log": "log.txt"} if failed else {"state": "finished"}
    )
    (folder / "state.json").write_text(json.dumps(state))
    if failed:
        return
    seed, fixed = cell["seed"], str(cell["choices"]["attention"]).startswith("fixed_")
    value, aligned = accuracy(rank, seed), None if fixed else 0.3 * rank + 0.01 * seed
    metrics = {
        "test/token_accuracy": value, "test/exact_match": value**2, "test/alignment_accuracy": aligned,
        "test/forced/token_accuracy": value, "test/forced/alignment_accuracy": aligned,
        "test/bleu": 40 * value if text else None,
    }  # fmt: skip
    buckets = [_bucket(n, rank, seed, fixed, text) for n in (5, 10, 15, 20, 30, 40)]
    cost = {
        "cost/parameters": 1000 + 7 * rank, "cost/peak_bytes": 2_000_000 * (1 + rank),
        "cost/seconds_per_step": 0.01 * (1 + (rank * 3) % 5) + 0.0003 * seed, "cost/seconds": 9.5 + rank,
    }  # fmt: skip
    result = {**cell, "experiment": folder.parent.name, "status": "finished", "metrics": metrics, "cost": cost}
    result |= {"by_length": buckets, "longest": LONGEST, "provenance": {}}
    (folder / "result.json").write_text(json.dumps(result))
    points = [_point(step, rank, seed) for step in range(0, 1001, 100)]
    (folder / "metrics.jsonl").write_text("\n".join([*map(json.dumps, points), '{"step": 1100, "tok']))
    if not fixed:
        _alignments(folder / "alignments.npz", rank)


def _bucket(length: int, rank: int, seed: int, fixed: bool, text: bool) -> dict:
    value = accuracy(rank, seed, length)
    aligned = None if fixed else 0.8 * value
    return {
        "low": length - 4 if text else length, "high": length, "count": 64, "token_accuracy": value,
        "exact_match": value**3, "alignment_accuracy": aligned, "bleu": 40 * value if text else None,
    }  # fmt: skip


def _point(step: int, rank: int, seed: int) -> dict:
    rise = 1 - 2.0 ** (-step / 200)
    point = {"step": step, "tokens": 640 * step, "seconds": step / 50, "train/loss": 3 - 2 * rise}
    point |= {"curriculum/length": 4 if step < 500 else LONGEST, "validation/loss": 3 - (2 + 0.1 * rank) * rise}
    return {**point, "validation/token_accuracy": accuracy(rank, seed) * rise}


def _alignments(path: Path, rank: int) -> None:
    """Two examples: the weight peaks on the mirrored position, more sharply for a higher rank."""
    arrays = {}
    for i, words in enumerate((["<b>die</b>", "alte", "Katze", TEMPLATE, "schläft", "nicht"], [*"abcdefghijk"])):
        size = len(words)
        at = np.arange(size)
        weights = np.exp(-rank * np.abs(at[:, None] + at[None, :] - (size - 1)))
        gold = at[:, None] + at[None, :] == size - 1
        arrays |= {f"weights_{i}": (weights / weights.sum(1, keepdims=True)).astype(np.float32), f"gold_{i}": gold}
        arrays |= {f"source_{i}": np.array(words), f"target_{i}": np.array(words[::-1])}
        arrays |= {f"reference_{i}": np.array([SCRIPT, *words[::-1]])}
    np.savez(path, **arrays)
