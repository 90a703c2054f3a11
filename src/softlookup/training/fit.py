"""Train from the first step, or from a checkpoint, to the end of the budget."""

import hashlib
import logging
import signal
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.environments import LightningEnvironment
from pytorch_lightning.strategies import DDPStrategy, Strategy

from softlookup.config.build import RunParts
from softlookup.config.settings import Identity
from softlookup.contract import Example
from softlookup.data.shared_pools import SharedPools
from softlookup.data.training_stream import Batching, Data, TrainingStream
from softlookup.errors import Stopped, UserError
from softlookup.evaluation.validation_bleu import Excerpt
from softlookup.model.seq2seq import Seq2Seq
from softlookup.runs import provenance
from softlookup.runs.lineage import LONGER
from softlookup.runs.run_id import flat
from softlookup.search.greedy import Greedy
from softlookup.system import atomic_files, bf16_products
from softlookup.system.content_cache import SHARED
from softlookup.system.ranks import Processes
from softlookup.system.seeds import derived_seed
from softlookup.system.signals import Stop
from softlookup.training import continuation
from softlookup.training.callbacks import Progress, Signals
from softlookup.training.checkpoints import Checkpoints
from softlookup.training.early_stopping import Watch
from softlookup.training.module import Training

# Of the files that this process imported, and that its server had: they may be edited while a sweep runs.
_SOURCE = provenance.source()


class Fit:
    """Train one model on one task. It can be stopped at any time, and continues bit-identically.

    `records` is the number of records in metrics.jsonl before the checkpoint, `digest` their SHA-256, and `seconds` the
    training time up to it. `notes` are remarks on the plan to print before the first step.
    """

    def __init__(self, parts: RunParts, checkpoints: Checkpoints, stop: Stop, processes: Processes) -> None:
        self.parts = parts
        self.settings = settings = parts.config.settings
        self.checkpoints = checkpoints
        self.stop = stop
        self.processes = processes
        self.model = parts.model
        budget, seed, task = settings.budget, settings.seed, parts.task
        self.validation = task.validation()
        batching = Batching(settings.batch_tokens, settings.batch_sentences, settings.pool)
        steps = max(1, int(budget // (batching.target_tokens(self.validation) * settings.accumulate)))
        data_seed = derived_seed(seed, "data")
        # An epoch of Lightning is the part between two validations.
        shares = settings.validations, processes, settings.accumulate
        pools = _shared_pools(checkpoints.run.parent, parts)
        self.stream = TrainingStream(task, parts.curriculum, data_seed, budget, batching, *shares, pools)
        self.notes = [*parts.recipe.schedule.notes(budget, steps), *_precision_notes(settings.precision, parts.device)]
        self.watch = Watch(f"validation/{settings.watch}", settings.keep == "best", settings.patience)
        measured = settings.validations, settings.average, self.watch, self._further()
        trained = self.model, parts.recipe, parts.curriculum, budget
        self.training = Training(*trained, self._emit, seed, processes, *measured)
        self.training.on_safe_point = self._on_safe_point
        if settings.keep_state:
            continuation.check(parts.config, self.training, parts.curriculum)
        self.state = continuation.KeptState(checkpoints.run, settings.keep_state and processes.rank == 0)
        self.records = 0
        self.digest: str | None = None
        self.held_out = _digest([*self.validation, *task.test()])
        self.seconds = 0.0
        self._emit_further: Callable[[dict[str, Any]], None] | None = None
        self._saved_at = self._began = time.perf_counter()

    def resume(self) -> bool:
        """Load the newest valid checkpoint, or the state of the run that this one continues; return whether there was
        one.

        Raises UserError for a checkpoint that is lost, for one of another config, with the difference, and for a run
        that cannot be continued because it differs from this one from its first steps on.
        """
        content = self.checkpoints.load()
        if content is not None:
            _refuse_another(content["config"], self._config())
            self._restore(content)
            return True
        if self.settings.continue_from is None:
            return False
        base = Path(self.settings.continue_from)
        content = continuation.load_state(base)
        if content is None:
            return False
        _refuse_another(content["config"], self._config(), but=LONGER)
        self._restore(content)
        if self.settings.average:
            continuation.reset_average(self.settings, self.training)
        if self.processes.rank == 0:
            atomic_files.write(self.checkpoints.run / "metrics.jsonl", continuation.records(base, content))
        return True

    def _restore(self, content: dict[str, Any]) -> None:
        self.model.load_state_dict(content["model"])
        self.training.load_run_state(content["training"])
        self.stream.load_state_dict(content["stream"])
        self.records, self.digest, self.seconds = content["records"], content["digest"], content["seconds"]
        self.state.hold(self.training.steps, content)

    def run(self, emit: Callable[[dict[str, Any]], None] | None = None) -> Training:
        """Train to the end of the budget; measurements are kept on the returned module, and passed to `emit`. Raises
        Stopped after a checkpoint was written, FloatingPointError when training diverges."""
        self._emit_further = emit
        self._saved_at = time.perf_counter()
        data = Data(self.stream, self.validation)
        if len(self.validation) and not data.validation:
            raise UserError(f"processes={self.processes.count}: more than the number of validation batches")
        # Lightning logs every device that is absent; its warnings are still shown.
        logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
        trainer, training = self._trainer(), self.training
        with warnings.catch_warnings(), self.stop.deferred():
            for advice in (
                ".*LeafSpec.*is deprecated.*",
                ".*`srun` command is available.*",
                ".*does not have many work.*",
            ):
                warnings.filterwarnings("ignore", message=advice)
            if training.due:  # the checkpoint precedes the validation that its last step made due
                trainer.validate(training, datamodule=data, verbose=False)
            if not training.over:
                trainer.fit(training, datamodule=data)
            if training.average.count:  # the averaged weights were not validated yet
                training.average.copy_to(training.model)
                training.validates_final = True
                trainer.validate(training, datamodule=data, verbose=False)
        if self.watch.keep and self.watch.best:
            self.watch.copy_to(training.model)
            training.last_validation = self.watch.best["values"]
        return training

    def _further(self) -> Callable[[Seq2Seq], dict[str, float]]:
        """Return the function that measures more than loss and token accuracy at a validation."""
        if self.settings.watch != "bleu":
            return lambda _: {}
        greedy = Greedy(self.parts.search.longest_ratio, self.parts.search.longest_extra)
        excerpt = Excerpt(self.parts.task, self.settings.watch_sentences, greedy, self.processes)
        return lambda model: {"bleu": excerpt.bleu(model)}

    def _trainer(self) -> pl.Trainer:
        many = self.processes.count > 1
        strategy: str | Strategy = DDPStrategy(forward_sync_buffers=False) if many else "auto"
        return pl.Trainer(
            accelerator="gpu" if self.parts.device.type == "cuda" else "cpu",
            devices=self.processes.count,
            strategy=strategy,
            # On a cluster, Lightning must not use the scheduler's signals and ranks.
            plugins=[LightningEnvironment()],
            max_epochs=-1,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            # A validation before the first step must leave metrics that training can update.
            inference_mode=False,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            callbacks=[Signals(self.stop), *([Progress()] if self.processes.rank == 0 else [])],
        )

    def _emit(self, record: dict[str, Any]) -> None:
        if self._emit_further is not None:
            self._emit_further(record)
        self.records += 1

    def _on_safe_point(self, training: Training) -> None:
        """Handle a safe point, between two steps: save if it is time, and stop if requested."""
        late = time.perf_counter() - self._saved_at >= self.settings.checkpoint_seconds
        ended = training.over and training.validated_at == training.tokens
        training.trainer.should_stop = ended
        paused = training.validated_at == training.tokens
        self.state.observe(training.steps, paused, self.stream.lasting, self._content)
        stopping = self._all_stop()
        if self.processes.rank == 0 and (late or ended or stopping):
            self.save()
        if stopping:
            raise Stopped(self.stop.number or signal.SIGTERM)

    def _all_stop(self) -> bool:
        """Return whether to stop here. The ranks decide together, from the signals that each had received: a signal to
        one rank stops all of them at the same step."""
        signaled = self.stop.number is not None
        if self.processes.count == 1:
            return signaled
        (wanted,) = self.processes.total(float(signaled), device=self.training.device)
        return wanted > 0

    def save(self) -> None:
        """Write a checkpoint of the current state."""
        self.checkpoints.save(self._content(), self.training.steps)
        self._saved_at = time.perf_counter()

    def _content(self) -> dict[str, Any]:
        return {
            "config": self._config(),
            "model": self.model.state_dict(),
            "training": self.training.run_state(),
            "stream": self.stream.state_dict(self.training.steps),
            "records": self.records,
            "digest": hashlib.sha256((self.checkpoints.run / "metrics.jsonl").read_bytes()).hexdigest(),
            "seconds": self.seconds + time.perf_counter() - self._began,
        }

    def _config(self) -> dict[str, Any]:
        return {
            **self.parts.config.identity(),
            **self.settings.plain(Identity.ARITHMETIC),
            "torch": str(torch.__version__),
            "validation and test data": self.held_out,
        }


def _shared_pools(experiment: Path, parts: RunParts) -> SharedPools:
    """Return the pools that the runs of a sweep of this experiment share; none outside a sweep, and for a task that
    reads its examples from files, which is as fast."""
    folder = experiment / SHARED
    if parts.task.data or not folder.is_dir():
        return SharedPools()
    return SharedPools(folder, (sys.version, _SOURCE, provenance.source(), parts.config.parts["task"]))


def _precision_notes(precision: str, device: torch.device) -> list[str]:
    if precision == "float32":
        return []
    slow = device.type == "cpu" and not bf16_products.native()
    how = " (through float32: this processor has no instructions for bf16)" if slow else ""
    return [f"precision={precision}: products of training steps in bf16{how}; validation and evaluation in float32"]


def _digest(examples: Sequence[Example]) -> str:
    content = [(example.source, example.target, example.reference) for example in examples]
    return hashlib.sha256(repr(content).encode()).hexdigest()


def _refuse_another(saved: dict[str, Any], current: dict[str, Any], but: frozenset[str] = frozenset()) -> None:
    before, now = (dict(flat({k: v for k, v in each.items() if k not in but})) for each in (saved, current))
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if changed:
        differences = ", ".join(f"{key}={before.get(key)} became {now.get(key)}" for key in changed)
        raise UserError(
            f"the checkpoint is of another config: {differences}; undo the change, or delete the run's folder"
        )
