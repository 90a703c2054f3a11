"""Execute one run, from config to result row: build, train, test, measure, write."""

import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import torch

from softlookup.analysis import terminal_report
from softlookup.config.build import RunParts, device_of
from softlookup.config.run_config import RunConfig
from softlookup.contract import Task
from softlookup.errors import UserError, shell_quote
from softlookup.evaluation.evaluate import Evaluation, evaluate
from softlookup.heatmaps import png
from softlookup.inference import initial_weights, trained_run
from softlookup.runs import provenance
from softlookup.runs.run_folder import RunFolder
from softlookup.runs.run_id import VERSION, settings, short, variant_key
from softlookup.runs.run_state import state_of
from softlookup.runs.tracked import tracked
from softlookup.system import lock
from softlookup.system.memory import limited
from softlookup.system.rank_processes import joined
from softlookup.system.ranks import Processes
from softlookup.system.seeds import derived_seed, seed_everything
from softlookup.system.signals import Stop
from softlookup.timing import run_cost
from softlookup.training import continuation, outcome
from softlookup.training.checkpoints import Checkpoints
from softlookup.training.fit import Fit


def execute(config: RunConfig, folder: RunFolder, stop: Stop) -> dict[str, Any]:
    """Execute a checked config; the result row is written to the folder and returned.

    Continues from the newest valid checkpoint in the folder. The row's `metrics` and `by_length` depend on the config
    only; `cost` holds times, `provenance` where and with what it ran. Raises UserError for parts that do not fit and
    for lost checkpoints, FloatingPointError when training diverges, Stopped after a signal.
    """
    settings = config.settings
    _require_devices(config)
    with limited(settings.memory), joined(settings.processes, partial(follow, config, folder.path)) as processes:
        return _lead(config, folder, stop, processes)


def _require_devices(config: RunConfig) -> None:
    """Raise UserError for more processes than CUDA devices: each process of a run has a device to itself."""
    count = config.settings.processes
    if count > 1 and device_of(config.settings.device).type == "cuda" and count > torch.cuda.device_count():
        raise UserError(
            f"processes={count}: each process needs a CUDA device, and there are {torch.cuda.device_count()}; set "
            f"processes={torch.cuda.device_count()}, or device=cpu"
        )


def follow(config: RunConfig, path: Path, processes: Processes) -> None:
    """Train and evaluate as a worker rank of a distributed run; nothing is written."""
    stop = Stop()
    with stop.listening(), limited(config.settings.memory):
        parts, _ = _parts(config, processes)
        fit = Fit(parts, Checkpoints(path), stop, processes)
        fit.resume()
        fit.run()
        _evaluate(parts, processes)


def _parts(config: RunConfig, processes: Processes) -> tuple[RunParts, initial_weights.Started | None]:
    torch.set_num_threads(config.settings.threads)
    parts, started = initial_weights.parts_of(config, processes.rank if processes.count > 1 else None)
    _refuse_other_data(config, parts.task)
    return parts, started


def _refuse_other_data(config: RunConfig, task: Task) -> None:
    """Raise UserError if the task has read other data than the digests of the config say."""
    changed = sorted(name for name, digest in task.data.items() if config.data.get(name) != digest)
    if changed:
        raise UserError(
            f"the data of this run has changed since it was planned: {', '.join(changed)}; type the command again, "
            "which makes it another run"
        )


def _evaluate(parts: RunParts, processes: Processes) -> Evaluation:
    model = parts.model.to(parts.device)
    seed_everything(derived_seed(parts.config.settings.seed, "evaluation"))
    return evaluate(model, parts.task, parts.device, parts.search, processes)


def _lead(config: RunConfig, folder: RunFolder, stop: Stop, processes: Processes) -> dict[str, Any]:
    started = time.perf_counter()
    parts, origin = _parts(config, processes)
    checkpoints = Checkpoints(folder.path)
    fit = Fit(parts, checkpoints, stop, processes)
    resumed = fit.resume()
    checkpoints.open()
    records = folder.rewind(fit.records, fit.digest)
    differs = continuation.differences(config)
    for note in [
        *parts.task.notes(),
        *([origin.note()] if origin else []),
        *fit.notes,
        *([] if config.matched is None else [f"match: {config.matched}"]),
        *differs,
        *checkpoints.messages,
    ]:
        print(note)
    if resumed:
        print(f"continues from {fit.training.tokens:,} of {config.settings.budget:,} target tokens")
    tracker = parts.tracker
    tracker.start(folder.path, **tracked(config, folder, provenance.code()), history=records)

    def emit(record: dict[str, Any]) -> None:
        folder.log(record)
        tracker.log({k: v for k, v in record.items() if k != "step"}, step=record["step"])

    try:
        training = fit.run(emit)
        for remark in outcome.remarks(config, training):
            print(remark)
        if len(folder.records()) != fit.records:
            raise RuntimeError(f"{folder.metrics_path} was deleted or changed during the run")
        measured = _evaluate(parts, processes)
        row = _row(folder, parts, fit, measured)
        row["cost"] = run_cost.measure(parts, training, fit.seconds + time.perf_counter() - started)
        row |= {"init_from": origin.row()} if origin else {}
        row["files"] = [*trained_run.keep(folder.path, parts.model, parts.task), *fit.state.files()]
        folder.write_alignments(measured.arrays())
        if measured.heat_maps:
            note = png.draw(measured.heat_maps[0], folder.path / "alignment.png")
            if note:
                print(f"alignment.png: {note}")
        folder.write_result(row)
        tracker.finish(row, measured.heat_maps)
    except BaseException as error:
        tracker.fail(f"{type(error).__name__}: {error}")
        raise
    finally:
        for message in tracker.messages:
            print(message)
    return row


def _row(folder: RunFolder, parts: RunParts, fit: Fit, measured: Evaluation) -> dict[str, Any]:
    training, config, task = fit.training, parts.config, parts.task
    return {
        "id": folder.id,
        "experiment": config.settings.experiment_name,
        "status": "finished",
        "version": VERSION,
        "choices": dict(config.choices),
        "seed": config.settings.seed,
        "variant_key": variant_key(config),
        "settings": settings(config),
        "tuned": list(config.tuned),
        **({} if config.matched is None else {"matched": config.matched.plain()}),
        "kind": parts.model.kind,
        "precision": {"training": config.settings.precision, "evaluation": "float32"},
        "data": short(dict(config.data)),
        "metrics": {
            "train/tokens": training.tokens,
            "train/steps": training.steps,
            "train/validations": training.validations,
            **({"train/averaged": training.average.different} if training.average.count else {}),
            **training.last_validation,
            **measured.metrics,
        },
        "ended": outcome.ended(training),
        "kept": outcome.kept(training),
        "state": fit.state.row(fit.stream.lasting),
        **continuation.row(config),
        "by_length": measured.by_length,
        "ranges": measured.ranges,
        **({"heads": measured.heads} if measured.heads else {}),
        "signatures": measured.signatures,
        "longest": task.trained,
        "length_unit": task.length_unit,
        "lengths": training.lengths,
        "provenance": provenance.collect(),
    }


def start(config: RunConfig) -> None:
    """Execute one run at the terminal: its folder, its states, and a report at the end.

    A finished run is shown again and not repeated. Raises what `supervise` raises.
    """
    folder = RunFolder.of(config)
    shown = config.experiment / folder.id
    row = folder.result()
    if row is not None:
        print(f"finished before ({row['provenance']['finished']}); to run it again: rm -r {shell_quote(shown)}")
        if config.settings.keep_state and row.get("state") is None:
            print("keep_state=true: no state was kept, since it was not set then; run it again to keep one")
    else:
        row = supervise(config, folder)
    terminal_report.show(row, folder.path, shown)


def supervise(config: RunConfig, folder: RunFolder) -> dict[str, Any]:
    """Execute a run in the current process, without a parent that watches it: at a terminal, or as a job of a cluster.

    Raises what `execute` raises, after the state was written, and UserError if another process holds the run.
    """
    new = not folder.path.exists()
    stop = Stop()
    with lock.hold(folder.path), stop.listening():
        row = folder.result() if folder.done() else None
        if row is not None:  # finished by another process in the meantime
            return row
        folder.begin(config)
        folder.set_state("running")
        try:
            row = execute(config, folder, stop)
        except BaseException as error:
            with suppress(OSError):  # on a full disk the state stays running; the released lock shows that it is not
                if isinstance(error, UserError) and new:
                    folder.discard()  # nothing ran: a mistake in the command line is not a failed run
                else:
                    folder.set_state(*state_of(error, config.settings.memory))
            stop.hand_on()
            raise
        folder.finish()
    return row
