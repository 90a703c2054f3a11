"""One run, from config to result row: build, train, test, measure, write."""

import copy
import logging
import time
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytorch_lightning as pl
import torch

from softlookup import cost, heatmap, provenance, report
from softlookup.config import build
from softlookup.contract import Curriculum, Task
from softlookup.data import Data, TrainingStream, collate
from softlookup.errors import UserError
from softlookup.evaluation import Evaluation, evaluate
from softlookup.optimizer.adam import Adam
from softlookup.progress import Progress
from softlookup.record import RunFolder, state_of
from softlookup.seq2seq import Seq2Seq
from softlookup.tracking import Tracker
from softlookup.training import Training


def derived_seed(seed: int, purpose: str) -> int:
    """A seed of its own for every purpose, so that none of them disturbs another's random numbers."""
    return int(np.random.SeedSequence([seed, zlib.crc32(purpose.encode())]).generate_state(1)[0])


def _seeded(factory: Callable[..., Any], seed: int, purpose: str) -> Callable[..., Any]:
    """The factory with random numbers of its own: what it draws depends on nothing that was built before it."""
    calls = 0

    def make(*arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(derived_seed(seed, f"{purpose} {calls}"))
            return factory(*arguments)

    return make


def build_model(config: dict[str, Any], source_vocabulary: int, target_vocabulary: int) -> Seq2Seq:
    """The model of a config. For one seed, parts have the same first weights wherever their shapes agree.

    Raises UserError for parts that do not fit together.
    """
    seed = config["seed"]
    attention = _seeded(build(config["attention"]), seed, "attention")
    encoder = _seeded(build(config["encoder"]), seed, "encoder")
    make_decoder = build(config["decoder"])
    decoder = _seeded(lambda *widths: make_decoder(*widths, attention), seed, "decoder")
    torch.manual_seed(derived_seed(seed, "output"))
    return Seq2Seq(encoder, decoder, source_vocabulary, target_vocabulary)


def device_of(config: dict[str, Any]) -> torch.device:
    """The device that `device=` asks for; auto takes CUDA where there is one. Raises UserError for CUDA without one."""
    wanted = config["device"]
    if wanted == "auto":
        wanted = "cuda" if torch.cuda.is_available() else "cpu"
    if wanted == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: torch finds no CUDA device here; take device=cpu or auto")
    return torch.device(wanted)


def _train(config: dict[str, Any], task: Task, model: Seq2Seq, emit: Callable[[dict[str, Any]], None]) -> Training:
    """Fit to the end of the budget; what was measured on the way stays on the returned module."""
    curriculum: Curriculum = build(config["curriculum"])(task)
    optimizer: Adam = build(config["optimizer"])
    budget, seed = config["budget"], config["seed"]
    stream = TrainingStream(task, curriculum, derived_seed(seed, "data"), budget, config["batch_tokens"])
    training = Training(model, optimizer, curriculum, budget, emit)
    steps = max(1, budget // config["batch_tokens"])
    # Lightning tells of every device that is not there; what it warns of still comes through.
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    trainer = pl.Trainer(
        accelerator="gpu" if device_of(config).type == "cuda" else "cpu",
        devices=1,
        max_epochs=1,
        val_check_interval=max(1, steps // config["validations"]),
        num_sanity_val_steps=0,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        callbacks=[Progress()],
    )
    torch.manual_seed(derived_seed(seed, "dropout"))
    data = Data(stream)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*LeafSpec.*is deprecated.*")
        try:
            trainer.fit(training, datamodule=data)
            if training.validated_at != training.tokens:
                trainer.validate(training, datamodule=data, verbose=False)
        except SystemExit as stop:
            if trainer.interrupted:  # Lightning turns Ctrl-C into an exit code of its own
                raise KeyboardInterrupt from stop
            raise
    return training


def _cost(config: dict[str, Any], task: Task, model: Seq2Seq, training: Training, seconds: float) -> dict[str, Any]:
    """What the run took. Peak memory is that of one step on a fixed batch of validation sentences.

    It is measured on a copy: the run's own weights and random numbers stay as they are.
    """
    twin = copy.deepcopy(model)
    device = device_of(config)
    examples = sorted(task.validation(), key=lambda example: -len(example.source))
    batch = collate(examples[:32]).to(device)
    optimizer = build(config["optimizer"]).build(twin.parameters())

    def step() -> None:
        logits, _ = twin(batch)
        torch.nn.functional.cross_entropy(logits, batch.target[batch.target_mask]).backward()
        optimizer.step()

    twin.train()
    clock = cost.summarize_steps(training.step_seconds, training.step_tokens)
    return {
        "cost/parameters": cost.parameters(model),
        **{f"cost/{name}": value for name, value in cost.peak_bytes(step, twin, optimizer, device).items()},
        **{f"cost/{name}": value for name, value in clock.items()},
        "cost/padding_share": training.padding / (training.padding + training.tokens),
        "cost/seconds": seconds,
    }


def execute(config: dict[str, Any], folder: RunFolder) -> dict[str, Any]:
    """Run a checked config to its result row, which is written to the folder and returned.

    The row's `metrics` and `by_length` depend on the config alone; `cost` holds times, `provenance` where and with
    what it ran. Raises UserError for parts that do not fit, FloatingPointError when training diverges.
    """
    started = time.perf_counter()
    torch.set_num_threads(config["threads"])
    task: Task = build(config["task"])
    device = device_of(config)
    model = build_model(config, len(task.source_vocabulary), len(task.target_vocabulary)).to(device)
    for note in task.notes():
        print(note)
    tracker: Tracker = build(config["tracking"])
    tags = [f"{group}={choice}" for group, choice in config["choices"].items()]
    tracker.start(folder.path, folder.id, config["experiment_name"], tags, config)

    def emit(record: dict[str, Any]) -> None:
        folder.log(record)
        tracker.log({k: v for k, v in record.items() if k != "step"}, step=record["step"])

    try:
        training = _train(config, task, model, emit)
        model = model.to(device)
        measured = evaluate(model, task, device)
        row = _row(config, folder, task, training, measured)
        row["cost"] = _cost(config, task, model, training, time.perf_counter() - started)
        save_weights(model, folder.path / "checkpoints" / "final.pt")
        folder.write_alignments(measured.arrays())
        if measured.heat_maps:
            heatmap.draw(measured.heat_maps[0], folder.path / "alignment.png")
        folder.write_result(row)
        tracker.finish(row, measured.heat_maps)
    except BaseException as error:
        tracker.fail(f"{type(error).__name__}: {error}")
        raise
    finally:
        for message in tracker.messages:
            print(message)
    return row


def _row(
    config: dict[str, Any], folder: RunFolder, task: Task, training: Training, measured: Evaluation
) -> dict[str, Any]:
    return {
        "id": folder.id,
        "experiment": config["experiment_name"],
        "status": "finished",
        "choices": config["choices"],
        "seed": config["seed"],
        "metrics": {
            "train/tokens": training.tokens,
            "train/steps": len(training.step_seconds),
            **training.last_validation,
            **measured.metrics,
        },
        "by_length": measured.by_length,
        "signatures": measured.signatures,
        "longest": task.lengths[1],
        "lengths": training.lengths,
        "provenance": provenance.collect(),
    }


def save_weights(model: Seq2Seq, path: Path) -> None:
    """The weights alone, written aside and renamed, so that a file with this name is always whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".tmp")
    torch.save(model.state_dict(), aside)
    aside.replace(path)


def start(config: dict[str, Any]) -> None:
    """One run for the person at the terminal: its folder, its states, and at the end what came out of it.

    A finished run is shown again and not repeated. Raises what `execute` raises, after the state was written.
    """
    folder = RunFolder.of(config)
    shown = Path(config["runs_dir"]) / config["experiment_name"] / folder.id
    row = folder.result()
    if row is not None:
        print(f"finished before ({row['provenance']['finished']}); to run it again: rm -r {shown}")
    else:
        row = _supervised(config, folder)
    report.show(row, folder.path, shown)


def _supervised(config: dict[str, Any], folder: RunFolder) -> dict[str, Any]:
    folder.reset()
    folder.write_config(config)
    folder.set_state("running")
    try:
        row = execute(config, folder)
    except UserError:
        folder.discard()  # nothing ran: a mistake of the command line is no failed run
        raise
    except BaseException as error:
        folder.set_state(*state_of(error))
        raise
    folder.finish()
    return row
