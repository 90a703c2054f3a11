"""Describe how training ended, for the result row and the terminal."""

from typing import Any

from softlookup.config.run_config import RunConfig
from softlookup.runs.lineage import same_cadence
from softlookup.training.module import Training


def ended(training: Training) -> str:
    """Return why a run ended: its budget, or its patience."""
    return "budget" if training.tokens >= training.budget else "patience"


def kept(training: Training) -> dict[str, Any]:
    """Return which weights are the final ones, and when they were reached."""
    best = training.watch.best
    if training.average.count:
        return {"weights": "average", "of": training.average.count, "different": training.average.different}
    if training.watch.keep and best:
        details = {name: best[name] for name in ("step", "tokens", "value")}
        return {"weights": "best", "metric": training.watch.metric, **details}
    return {"weights": "last", "step": training.steps, "tokens": training.tokens}


def remarks(config: RunConfig, training: Training) -> list[str]:
    """Describe differences between the requested and the actual course of training."""
    best, messages = training.watch.best, []
    settings = config.settings
    if same_cadence(config) and training.cadence.passed(training.tokens) != training.validations:
        messages.append(
            f"validations={settings.validations}: measured {training.validations} times; some of the "
            f"{training.steps} steps crossed the ends of several shares of the budget at once"
        )
    if training.average.different != training.average.count:
        messages.append(
            f"average={settings.average}: the mean of {training.average.different} different weights; a step that "
            "crossed the ends of several shares counts for each of them"
        )
    if ended(training) == "patience":
        messages.append(
            f"patience={settings.patience}: ended after {training.tokens:,} of {training.budget:,} target tokens; "
            f"{training.watch.metric} was best after {best and best['tokens']:,}"
        )
    return messages
