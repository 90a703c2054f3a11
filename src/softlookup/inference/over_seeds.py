"""Compare two variants over the seeds of their experiment, beside a comparison of two runs over sentences."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from softlookup.analysis.inference import t_interval
from softlookup.inference.trained_run import Trained
from softlookup.runs.run_folder import RunFolder
from softlookup.runs.run_id import variant_key


def test_set(trained: Trained) -> tuple[Any, ...]:
    """Return what two runs share if they were tested on the same pairs, joined in the same way."""
    return trained.config.data.get("test"), trained.config.parts["task"].get("concatenate", 1)


def over_seeds(trained: Trained, other: Trained, tests: Mapping[str, Any]) -> dict[str, Any]:
    """Return for each metric the same difference on the runs' own test set over their common seeds, beside that over
    sentences: pairs of runs, mean, 95 % t interval and standard deviation; without two pairs nothing.

    The other seeds are the finished runs of the same variants in the same experiment.
    """
    ours, theirs = _of_seeds(trained), _of_seeds(other)
    found = {}
    for name in tests:
        differences = [ours[s][f"test/{name}"] - theirs[s][f"test/{name}"] for s in sorted(ours.keys() & theirs.keys())]
        if len(differences) > 1:
            low, high = t_interval(differences)
            found[name] = {
                "pairs": len(differences),
                "mean": float(np.mean(differences)),
                "low": low,
                "high": high,
                "deviation": float(np.std(differences, ddof=1)),
            }
    return found


def _of_seeds(trained: Trained) -> dict[int, dict[str, float]]:
    """Return the metrics of all finished runs of a variant in its experiment, by seed."""
    key = variant_key(trained.config)
    rows = (RunFolder(path.parent).result() for path in trained.path.resolve().parent.glob("*/result.json"))
    return {row["seed"]: row["metrics"] for row in rows if row and row.get("variant_key") == key}
