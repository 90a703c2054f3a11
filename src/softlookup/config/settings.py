"""Declare the settings of a run, and check types and ranges of values."""

import math
import re
import types
import unicodedata
from typing import Any, NamedTuple, Union, get_args, get_origin

from softlookup.errors import UserError, quote
from softlookup.ranges import Range


class Setting(NamedTuple):
    """Hold what a key of the menu must be, the least and the most that it may be, and the only words where it is
    text."""

    expected: Any
    least: float = 0
    most: float = 0
    words: str = ""


_MACHINE = 4096  # runs, threads, processes: more than any machine has
SETTINGS = {
    "seed": Setting(int, 0, 2**32 - 1),
    "budget": Setting(int, 1, 10**12),
    "batch_tokens": Setting(int | None, 1, 10**7),
    "batch_sentences": Setting(int | None, 1, 10**6),
    "pool": Setting(int, 1, 10**4),
    "label_smoothing": Setting(float, 0, 0.99),
    "loss_mean": Setting(str, words="token|sentence"),
    "tying": Setting(str, words="none|target|all"),
    "average": Setting(int, 0, 10**5),
    "accumulate": Setting(int, 1, 10**4),
    "validations": Setting(int, 1, 10**5),
    "keep": Setting(str, words="last|best"),
    "patience": Setting(int | None, 1, 10**5),
    "watch": Setting(str, words="loss|token_accuracy|bleu"),
    "watch_sentences": Setting(int | None, 1, 10**6),
    "init_from": Setting(str | None),
    "continue_from": Setting(str | None),
    "keep_state": Setting(bool),
    "runs_dir": Setting(str, words=r".+"),
    "experiment_name": Setting(str, words=r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}"),
    "workers": Setting(int | None, 1, _MACHINE),
    "threads": Setting(int, 1, _MACHINE),
    "processes": Setting(int, 1, _MACHINE),
    "memory": Setting(int | None, 1, 10**9),
    "checkpoint_seconds": Setting(float, 0, 10**6),
    "device": Setting(str, words="auto|cpu|cuda"),
    "debug": Setting(bool),
    "confirm": Setting(bool),
}
# A number for which a constructor declares no range.
ANY = Range(-1_000_000, 1_000_000)
# Line and paragraph separators, control characters, halves of characters: no name and no path of a folder has them.
_UNFIT = {"Cc", "Cs", "Zl", "Zp"}


def check_settings(config: dict[str, Any]) -> None:
    """Settle every setting. Raises UserError for one that is absent, of a wrong type, or out of its range."""
    for key, setting in SETTINGS.items():
        if key not in config:
            raise UserError(f"{key}: conf/train.yaml gives it no value; write {key}=VALUE")
        value = config[key] = settled(config[key], setting.expected)
        check_value(key, value, setting.expected)
        if setting.words and not re.fullmatch(setting.words, value):
            words = " or ".join(setting.words.split("|")) if "|" in setting.words else "a plain folder name"
            raise UserError(f"{key}={quote(value)}: expected {words}")
        if setting.most and value is not None:
            check_range(key, value, Range(setting.least, setting.most))
    _check_final_weights(config)


def _check_final_weights(config: dict[str, Any]) -> None:
    """Reject settings of the final weights that contradict each other, and those that do nothing."""
    average, validations, patience = config["average"], config["validations"], config["patience"]
    watches = config["keep"] == "best" or patience is not None
    if average == 1:
        raise UserError("average=1: the mean of one is the last weights; set average=0, or 2 or more")
    if average > validations:
        raise UserError(
            f"average={average}: expected at most validations={validations}, behind which the weights are taken"
        )
    if average and watches:
        raise UserError(
            f"average={average} takes the weights of the budget's last shares, whatever was best; set average=0, or "
            "keep=last and patience=null"
        )
    if patience is not None and patience > validations - 2:
        raise UserError(
            f"patience={patience}: with validations={validations} no run can end early; set validations="
            f"{patience + 2} or more{f', or patience={validations - 2} or less' if validations > 2 else ''}"
        )
    if config["watch"] != "loss" and not watches:
        raise UserError(f"watch={config['watch']}: nothing heeds it; set keep=best or patience=N")
    if config["keep"] == "best" and validations == 1:
        raise UserError("keep=best: with validations=1 the best weights are the last ones; give more validations")
    if config["watch_sentences"] is not None and config["watch"] != "bleu":
        raise UserError(f"watch_sentences={config['watch_sentences']}: only watch=bleu decodes sentences")


def settled(value: Any, expected: Any) -> Any:
    """Return the value, as a whole number where one is expected and it is written as another, as in 1e4."""
    options = get_args(expected) if get_origin(expected) in (Union, types.UnionType) else (expected,)
    if isinstance(value, float) and value.is_integer() and int in options and float not in options:
        return int(value)
    return value


def check_value(path: str, value: Any, expected: Any) -> None:
    """Raise UserError for a value of another type, for text that no file could be named by, and for a number that is
    none."""
    if not _conforms(value, expected):
        raise UserError(
            f"{path}={quote(value)}: expected {_described(expected)}, got {type(value).__name__} {quote(repr(value))}"
        )
    if isinstance(value, str) and any(unicodedata.category(character) in _UNFIT for character in value):
        raise UserError(f"{path}={quote(value)}: expected text of one line, without control characters")


def check_range(path: str, value: Any, allowed: Range) -> None:
    """Reject out-of-range numbers early, with a clear message."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return
    least, most, below = allowed
    if not least <= value <= most or (below and value == most):  # in these words nan is out of every range
        bound = f"a number from {least:,} to below {most:,}" if below else f"at least {least:,}"
        raise UserError(f"{path}={quote(value)}: expected {bound if below or value < least else f'at most {most:,}'}")


def _conforms(value: Any, expected: Any) -> bool:
    if get_origin(expected) in (Union, types.UnionType):
        return any(_conforms(value, option) for option in get_args(expected))
    if expected is float:
        return isinstance(value, int | float) and not isinstance(value, bool) and -math.inf < value < math.inf
    if expected is int:
        return isinstance(value, int) and not isinstance(value, bool)
    # Factories and objects are parts of the config with a `_target_` of their own.
    return expected in (str, bool, types.NoneType) and isinstance(value, expected)


def _described(expected: Any) -> str:
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "text", types.NoneType: "null"}
    options = get_args(expected) if get_origin(expected) in (Union, types.UnionType) else (expected,)
    return " or ".join(names.get(option, f"a choice (a part with a _target_), as {option}") for option in options)
