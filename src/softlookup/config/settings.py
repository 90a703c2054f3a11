"""Declare the settings of a run: type, range, default, meaning, and whether a setting is part of a run's identity."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from enum import Enum
from functools import cache
from typing import Annotated, Any, Literal, get_type_hints

from softlookup.config.values import Argument, argument, check, coerced
from softlookup.errors import UserError
from softlookup.ranges import Form, Range


class Identity(Enum):
    """Define how a setting affects the identity of a run.

    VARIANT distinguishes variants, and REPEAT the repetitions of one variant: both are hashed into the run's name. A
    checkpoint that was made under another value of ARITHMETIC is refused, since the last bits may differ. NONE says
    only where and how a run is stored, watched or executed.
    """

    VARIANT = "variant"
    REPEAT = "repeat"
    ARITHMETIC = "arithmetic"
    NONE = "none"


def _key(default: Any, text: str, identity: Identity = Identity.VARIANT, *, path: bool = False) -> Any:
    """Declare a setting; `text` explains it in one line, and a `path` is quoted for Hydra as the shell passes it."""
    return field(default=default, metadata={"help": text, "identity": identity, "path": path})


_MACHINE = 4096  # runs, threads, processes: more than any machine has
_WIDTHS = Form(r"\w+(\.\w+)+(\+\w+(\.\w+)+)?", "one key or two, as in encoder.width+decoder.width")
_SEARCH = Form(r"rate:([3-9]|1\d|20)", "rate:N, with N from 3 to 20 rates, as in rate:4")
_NAME = Form(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", "a plain folder name")


@dataclass(frozen=True)
class Settings:
    """Hold the checked settings of a run. The rest of a run's config are the choices of its parts."""

    seed: Annotated[int, Range(0, 2**32 - 1)] = _key(1, "seed of all random numbers", Identity.REPEAT)
    budget: Annotated[int, Range(1, 10**12)] = _key(400_000, "target tokens seen in training, whatever the curriculum")
    batch_tokens: Annotated[int | None, Range(1, 10**7)] = _key(
        1024, "target tokens in a batch; null if batch_sentences is set"
    )
    batch_sentences: Annotated[int | None, Range(1, 10**6)] = _key(None, "sentences in a batch")
    accumulate: Annotated[int, Range(1, 10**4)] = _key(
        1, "batches per step: their gradients are combined as those of one large batch"
    )
    pool: Annotated[int, Range(1, 10**4)] = _key(16, "batches that are drawn together and sorted by length")
    validations: Annotated[int, Range(1, 10**5)] = _key(12, "validations, at equal shares of the budget")
    label_smoothing: Annotated[float, Range(0, 0.99)] = _key(
        0.0, "share of the target distribution that is spread over the vocabulary"
    )
    loss_mean: Literal["token", "sentence"] = _key(
        "token", "token or sentence: the gradient of a batch is divided by the number of these, then clipped"
    )
    precision: Literal["float32", "bf16", "auto"] = _key(
        "float32",
        "of the products of training steps: float32, bf16, or auto (what is faster here); the rest is float32",
    )
    tying: Literal["none", "target", "all"] = _key(
        "none", "target: the output layer shares the target embedding; all: the source embedding shares it too"
    )
    average: Annotated[int, Range(0, 10**5)] = _key(
        0, "average the weights from the last N validations; 0 disables averaging"
    )
    keep: Literal["last", "best"] = _key("last", "final weights: last, or best (of the best validation)")
    patience: Annotated[int | None, Range(1, 10**5)] = _key(
        None, "stop after N validations in a row without improvement; null: stop at the end of the budget"
    )
    watch: Literal["loss", "token_accuracy", "bleu"] = _key(
        "loss", "validation metric that keep=best and patience follow: loss, token_accuracy or bleu"
    )
    watch_sentences: Annotated[int | None, Range(1, 10**6)] = _key(
        None, "validation sentences that watch=bleu decodes; null: all"
    )
    init_from: str | None = _key(
        None,
        "start from the weights and vocabularies of this finished run (its folder or its id)",
        Identity.NONE,
        path=True,
    )
    continue_from: str | None = _key(
        None,
        "continue this finished run, which had keep_state=true, under a larger budget=N",
        Identity.NONE,
        path=True,
    )
    keep_state: bool = _key(
        False, "keep what continue_from needs at the end (about three times the size of the weights)", Identity.NONE
    )

    match: Literal["parameters", "flops", "state"] | None = _key(
        None, "solve widths so that a run costs what match_to costs: parameters, flops or state", Identity.NONE
    )
    match_to: str | None = _key(None, "attention whose cost match reaches, in the same config", Identity.NONE)
    match_length: Annotated[int | None, Range(1, 131_072)] = _key(
        None, "source length of match=flops (and target length) and match=state", Identity.NONE
    )
    match_widths: Annotated[str | None, _WIDTHS] = _key(
        None,
        "widths that match solves, in their proportion: KEY or KEY+KEY; null: those of encoder and decoder",
        Identity.NONE,
    )

    tune: Annotated[str | None, _SEARCH] = _key(
        None,
        "before a sweep, try N learning rates for every variant alike (rate:N), and write experiments/tuned",
        Identity.NONE,
    )
    tune_seeds: Annotated[int, Range(1, 100)] = _key(2, "seeds of each rate that tune tries", Identity.NONE)

    runs_dir: Annotated[str, Form(r".+", "a folder")] = _key("runs", "folder of all runs", Identity.NONE, path=True)
    experiment_name: Annotated[str, _NAME] = _key(
        "single", "folder below runs_dir, and the group in W&B", Identity.NONE
    )
    workers: Annotated[int | None, Range(1, _MACHINE)] = _key(
        None, "runs at a time in a sweep; null: one per core, or workers_per_gpu on each GPU", Identity.NONE
    )
    workers_per_gpu: Annotated[int, Range(1, _MACHINE)] = _key(
        1, "processes that share a GPU in a sweep; each may use an equal share of its memory", Identity.NONE
    )
    threads: Annotated[int, Range(1, _MACHINE)] = _key(
        1, "torch threads of a run; another number may change the last bits", Identity.ARITHMETIC
    )
    processes: Annotated[int, Range(1, _MACHINE)] = _key(
        1, "processes that share a run (Lightning's DDP); another number may change the last bits", Identity.ARITHMETIC
    )
    memory: Annotated[int | None, Range(1, 10**9)] = _key(
        None, "MB that a run may use; null: what the machine has", Identity.NONE
    )
    checkpoint_seconds: Annotated[float, Range(0, 10**6)] = _key(
        15, "seconds between checkpoints: a killed run loses at most this much", Identity.NONE
    )
    device: Literal["auto", "cpu", "cuda"] = _key("auto", "auto, cpu or cuda", Identity.ARITHMETIC)
    debug: bool = _key(False, "show tracebacks", Identity.NONE)
    confirm: bool = _key(False, "run a sweep of more than 1,000 runs", Identity.NONE)
    size: Literal["small", "paper"] = _key(
        "small", "sizes of a paper's preset: small, or paper (as published)", Identity.NONE
    )

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Settings:
        """Check the values of all settings; other keys are ignored.

        Raises UserError for a value that is absent, of a wrong type or out of range, and for contradictions.
        """
        found = {}
        for name, expected in declared().items():
            if name not in values:
                raise UserError(f"{name}: it has no value; write {name}=VALUE")
            found[name] = coerced(values[name], expected.expected)
            check(name, found[name], expected)
        settings = cls(**found)
        _check_final_weights(settings)
        _check_match(settings)
        return settings

    def plain(self, *identities: Identity) -> dict[str, Any]:
        """Return the settings by name; of the given identities alone, if any is given."""
        kept = set(names(*identities))
        return {name: value for name, value in asdict(self).items() if name in kept}


@cache
def declared() -> dict[str, Argument]:
    """Return type, range and form of every setting."""
    kinds = get_type_hints(Settings, include_extras=True)
    return {one.name: argument(kinds[one.name], one.default is MISSING) for one in fields(Settings)}


def names(*identities: Identity) -> Iterator[str]:
    """Yield the names of all settings, or of those of the given identities."""
    yield from (one.name for one in fields(Settings) if not identities or one.metadata["identity"] in identities)


def explanations() -> dict[str, tuple[Any, str]]:
    """Return the default of every setting, and its explanation in one line."""
    return {one.name: (one.default, one.metadata["help"]) for one in fields(Settings)}


def paths() -> list[str]:
    """Return the settings whose values are paths."""
    return [one.name for one in fields(Settings) if one.metadata["path"]]


def _check_final_weights(settings: Settings) -> None:
    """Reject settings of the final weights that contradict each other or have no effect."""
    average, validations, patience = settings.average, settings.validations, settings.patience
    watches = settings.keep == "best" or patience is not None
    if average == 1:
        raise UserError("average=1: the mean of one is the last weights; set average=0, or 2 or more")
    if average > validations:
        raise UserError(
            f"average={average}: expected at most validations={validations}, since the weights are taken at validations"
        )
    if average and watches:
        raise UserError(
            f"average={average} averages the weights of the last validations, whatever was best; set average=0, or "
            "keep=last and patience=null"
        )
    if patience is not None and patience > validations - 2:
        raise UserError(
            f"patience={patience}: with validations={validations} no run can end early; set validations="
            f"{patience + 2} or more{f', or patience={validations - 2} or less' if validations > 2 else ''}"
        )
    if settings.watch != "loss" and not watches:
        raise UserError(f"watch={settings.watch}: no setting uses it; set keep=best or patience=N")
    if settings.keep == "best" and validations == 1:
        raise UserError("keep=best: with validations=1 the best weights are the last ones; give more validations")
    if settings.watch_sentences is not None and settings.watch != "bleu":
        raise UserError(f"watch_sentences={settings.watch_sentences}: only watch=bleu decodes sentences")


def _check_match(settings: Settings) -> None:
    """Reject a match without its reference, or without the length that its cost depends on."""
    if settings.match is None:
        return
    if settings.match_to is None:
        raise UserError(f"match={settings.match}: it needs the attention to reach; add match_to=additive")
    if settings.match != "parameters" and settings.match_length is None:
        raise UserError(f"match={settings.match}: its cost depends on the source length; add match_length=32")
