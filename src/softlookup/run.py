"""Execute one run, from config to result row: build, train, test, measure, write."""

import copy
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from softlookup.analysis import terminal_report
from softlookup.config.build import build_model, device_of
from softlookup.config.resolve import build
from softlookup.contract import Task
from softlookup.errors import UserError, typed
from softlookup.evaluation import cost
from softlookup.evaluation.evaluate import Evaluation, evaluate
from softlookup.heatmaps import png
from softlookup.inference import initial_weights, trained_run
from softlookup.model.seq2seq import Seq2Seq
from softlookup.runs import provenance
from softlookup.runs.run_folder import RunFolder, state_of
from softlookup.runs.run_id import VERSION, settings, short, variant_key, with_variant
from softlookup.search.search import Search
from softlookup.system import lock
from softlookup.system.memory import limited
from softlookup.system.rank_processes import joined
from softlookup.system.ranks import Processes
from softlookup.system.seeds import derived_seed, seed_everything
from softlookup.system.signals import Stop
from softlookup.timing.probe import probe
from softlookup.tracking.wandb_tracker import Tracker
from softlookup.training import continuation, outcome
from softlookup.training.checkpoints import Checkpoints
from softlookup.training.fit import Fit
from softlookup.training.module import Training


def execute(config: dict[str, Any], folder: RunFolder, stop: Stop) -> dict[str, Any]:
    """Run a checked config to its result row, which is written to the folder and returned.

    Goes on from the newest good checkpoint in the folder. The row's `metrics` and `by_length` depend on the config
    alone; `cost` holds times, `provenance` where and with what it ran. Raises UserError for parts that do not fit and
    for checkpoints that are lost, FloatingPointError when training diverges, Stopped when a signal asked for it.
    """
    with limited(config["memory"]), joined(config, folder.path, follow) as processes:
        return _lead(config, folder, stop, processes)


def follow(config: dict[str, Any], path: Path, processes: Processes) -> None:
    """Train and evaluate as a worker rank of a distributed run; nothing is written."""
    stop = Stop()
    with stop.listening(), limited(config["memory"]):
        task, device, model, _ = _parts(config, processes)
        fit = Fit(config, task, model, Checkpoints(path), stop, processes)
        fit.resume()
        fit.run()
        _evaluate(config, task, model.to(device), device, processes)


def _parts(
    config: dict[str, Any], processes: Processes
) -> tuple[Task, torch.device, Seq2Seq, initial_weights.Started | None]:
    torch.set_num_threads(config["threads"])
    first = initial_weights.origin_of(config)
    task = initial_weights.task_of(config, first)
    _refuse_other_data(config, task)
    device = device_of(config)
    if device.type == "cuda" and processes.count > 1:
        device = torch.device("cuda", processes.rank)
    model = build_model(config, len(task.source_vocabulary), len(task.target_vocabulary)).to(device)
    started = None if first is None else initial_weights.start_from(model, first)
    search: Search = build(config["search"])
    search.check(model)
    return task, device, model, started


def _refuse_other_data(config: dict[str, Any], task: Task) -> None:
    """Raise UserError where the task has read something else than what the run's name stands for."""
    asked = config.get("data", {})
    changed = sorted(name for name, digest in task.data.items() if asked.get(name) != digest)
    if changed:
        raise UserError(
            f"the data is not what this run was asked for with: {', '.join(changed)} changed since; type the command "
            "again, which makes it another run"
        )


def _evaluate(
    config: dict[str, Any], task: Task, model: Seq2Seq, device: torch.device, processes: Processes
) -> Evaluation:
    seed_everything(derived_seed(config["seed"], "evaluation"))
    return evaluate(model, task, device, build(config["search"]), processes)


def _lead(config: dict[str, Any], folder: RunFolder, stop: Stop, processes: Processes) -> dict[str, Any]:
    started = time.perf_counter()
    task, device, model, taken = _parts(config, processes)
    checkpoints = Checkpoints(folder.path)
    fit = Fit(config, task, model, checkpoints, stop, processes)
    resumed = fit.resume()
    checkpoints.open()
    records = folder.rewind(fit.records, fit.digest)
    differs = continuation.differences(config) if "continued" in config else []
    for note in [*task.notes(), *([taken.note()] if taken else []), *fit.notes, *differs, *checkpoints.messages]:
        print(note)
    if resumed:
        print(f"goes on from {fit.training.tokens:,} of {config['budget']:,} target tokens")
    tracker: Tracker = build(config["tracking"])
    tags = [f"{group}={choice}" for group, choice in config["choices"].items()]
    tracker.start(folder.path, folder.id, config["experiment_name"], tags, with_variant(config), history=records)

    def emit(record: dict[str, Any]) -> None:
        folder.log(record)
        tracker.log({k: v for k, v in record.items() if k != "step"}, step=record["step"])

    try:
        training = fit.run(emit)
        for remark in outcome.remarks(config, training):
            print(remark)
        if len(folder.records()) != fit.records:
            raise RuntimeError(f"{folder.metrics_path} was deleted or changed while the run went on")
        model = model.to(device)
        measured = _evaluate(config, task, model, device, processes)
        row = _row(config, folder, task, fit, measured)
        row["cost"] = _cost(config, task, model, training, fit.seconds + time.perf_counter() - started)
        row |= {"init_from": taken.row()} if taken else {}
        row["files"] = [*trained_run.keep(folder.path, model, task), *fit.state.files()]
        folder.write_alignments(measured.arrays())
        if measured.heat_maps:
            png.draw(measured.heat_maps[0], folder.path / "alignment.png")
        folder.write_result(row)
        tracker.finish(row, measured.heat_maps)
    except BaseException as error:
        tracker.fail(f"{type(error).__name__}: {error}")
        raise
    finally:
        for message in tracker.messages:
            print(message)
    return row


def _cost(config: dict[str, Any], task: Task, model: Seq2Seq, training: Training, seconds: float) -> dict[str, Any]:
    """Return what the run took. Peak memory is that of one training step on a fixed batch of validation sentences.

    It is measured on a copy: the run's own weights and random numbers stay as they are. Seconds are those that the
    result took: what a kill destroyed is not among them.
    """
    twin = copy.deepcopy(model)
    made = probe(config, task, twin)
    peak = cost.peak_bytes(made.step, twin, made.optimizer, device_of(config))
    clock = cost.summarize_steps(training.step_seconds, training.step_tokens)
    return {
        "cost/parameters": cost.parameters(model),
        **{f"cost/{name}": value for name, value in peak.items()},
        **{f"cost/{name}": value for name, value in clock.items()},
        "cost/padding_share": training.padding / (training.padding + training.tokens),
        "cost/seconds": seconds,
    }


def _row(config: dict[str, Any], folder: RunFolder, task: Task, fit: Fit, measured: Evaluation) -> dict[str, Any]:
    training = fit.training
    return {
        "id": folder.id,
        "experiment": config["experiment_name"],
        "status": "finished",
        "version": VERSION,
        "choices": config["choices"],
        "seed": config["seed"],
        "variant_key": variant_key(config),
        "settings": settings(config),
        "tuned": config.get("tuned", []),
        "kind": fit.training.model.kind,
        "data": short(config.get("data", {})),
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
        **({"continued": _continued(config)} if "continued" in config else {}),
        "by_length": measured.by_length,
        "signatures": measured.signatures,
        "longest": task.trained,
        "length_unit": task.length_unit,
        "lengths": training.lengths,
        "provenance": provenance.collect(),
    }


def _continued(config: dict[str, Any]) -> dict[str, Any]:
    """With which run this one went on, after how many tokens of budget, and what makes it another than one in a go."""
    run = Path(config["continue_from"]).name
    return {"run": run, "budget": config["continued"]["budget"], "differs": continuation.differences(config)}


def start(config: dict[str, Any]) -> None:
    """One run for the person at the terminal: its folder, its states, and at the end what came out of it.

    A finished run is shown again and not repeated. Raises what `supervise` raises.
    """
    folder = RunFolder.of(config)
    shown = Path(config["runs_dir"]) / config["experiment_name"] / folder.id
    row = folder.result()
    if row is not None:
        print(f"finished before ({row['provenance']['finished']}); to run it again: rm -r {typed(shown)}")
        if config["keep_state"] and row.get("state") is None:
            print("keep_state=true: it has kept no state, as nothing asked for it then; run it again to keep one")
    else:
        row = supervise(config, folder)
    terminal_report.show(row, folder.path, shown)


def supervise(config: dict[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Return a run without a parent that watches it, in a process of its own: at a terminal, or as a job of a cluster.

    Raises what `execute` raises, after the state was written, and UserError where another process runs it.
    """
    new = not folder.path.exists()
    stop = Stop()
    with lock.hold(folder.path), stop.listening():
        row = folder.result() if folder.done() else None
        if row is not None:  # by another process, a moment ago
            return row
        folder.begin(config)
        folder.set_state("running")
        try:
            row = execute(config, folder, stop)
        except BaseException as error:
            with suppress(OSError):  # a full disk: the lock, which is free then, tells that nobody runs it
                if isinstance(error, UserError) and new:
                    folder.discard()  # nothing ran: a mistake of the command line is no failed run
                else:
                    folder.set_state(*state_of(error, config["memory"]))
            stop.hand_on()
            raise
        folder.finish()
    return row
