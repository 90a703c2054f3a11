"""Several processes per run: gradients and metrics equal those of one process, and all stop together."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from configs import changed
from hydra.core.hydra_config import HydraConfig
from test_resume import outcome

from softlookup import run
from softlookup.config.build import build, build_model, build_run
from softlookup.config.resolve import composed
from softlookup.config.run_config import RunConfig
from softlookup.data.collate import evaluation_batches
from softlookup.errors import Stopped, UserError
from softlookup.evaluation.evaluate import evaluate
from softlookup.model.seq2seq import Seq2Seq
from softlookup.model.training_step import Update
from softlookup.runs.run_folder import RunFolder
from softlookup.search.greedy import Greedy
from softlookup.system.rank_processes import joined
from softlookup.system.ranks import ALONE, Processes
from softlookup.system.signals import Stop
from softlookup.training import module
from softlookup.training.checkpoints import Checkpoints
from softlookup.training.fit import Fit
from softlookup.training.module import Training

# Batches of odd and small sizes.
TINY = [
    "task.longest=5", "encoder.width=7", "decoder.width=14", "attention.score.width=5", "budget=151", "batch_tokens=37",
    "validations=2", "tracking=disabled", "device=cpu",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _forget_the_last_config():
    yield
    HydraConfig.instance().cfg = None


def fitted(
    resolved: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> tuple[list[dict[str, torch.Tensor]], RunFolder]:
    """Run training; return the gradients of every step before clipping, and the run folder."""
    gradients: list[dict[str, torch.Tensor]] = []
    ordinary = module.update

    def update(model: Seq2Seq, *given: Any) -> Update:
        clip = torch.nn.utils.clip_grad_norm_

        def look(*arguments: Any) -> torch.Tensor:
            gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
            return clip(*arguments)

        with monkeypatch.context() as inner:
            inner.setattr(torch.nn.utils, "clip_grad_norm_", look)
            return ordinary(model, *given)

    folder = RunFolder.of(resolved)
    with monkeypatch.context() as patched:
        patched.setattr(module, "update", update)
        run.supervise(resolved, folder)
    return gradients, folder


@pytest.mark.parametrize(("changes", "fewest"), [([], 6), (["loss_mean=sentence", "budget=331", "accumulate=2"], 1)])
def test_two_processes_give_the_gradients_of_one(
    changes: list[str], fewest: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a batch of one row a process is idle; with several batches per step the gradients are shared at the last."""
    one = composed([*TINY, *changes, f"runs_dir={tmp_path / 'one'}"])
    stream = Fit(build_run(one), Checkpoints(tmp_path), Stop(), ALONE).stream
    sizes: list[int] = []
    while part := [len(batch.examples) for group in stream for batch in group]:
        sizes += part
    assert min(sizes) == fewest
    two = changed(one, runs_dir=str(tmp_path / "two"), processes=2)
    (first, alone), (second, shared) = fitted(one, monkeypatch), fitted(two, monkeypatch)
    assert len(first) == len(second) > 3
    for ours, theirs in zip(first, second, strict=True):
        assert ours.keys() == theirs.keys()
        for name, gradient in ours.items():
            assert torch.allclose(gradient, theirs[name], rtol=0, atol=1e-6), name
    seen = [[(r["step"], r["tokens"]) for r in folder.records()] for folder in (alone, shared)]
    assert seen[0] == seen[1]
    if fewest > 1:  # an idle process gets only padding
        measured = [folder.result()["cost"]["cost/padding_share"] for folder in (alone, shared)]
        # Separate padding in two processes never adds padding.
        assert measured[1] <= measured[0]


def _measure(config: RunConfig, path: Path, processes: Processes) -> None:
    """Evaluate the untrained model of a config in several processes; each writes its metrics and sources."""
    if not dist.is_initialized():
        dist.init_process_group("gloo", rank=processes.rank, world_size=processes.count)
    task = build(config.parts["task"])
    model = build_model(config, len(task.source_vocabulary), len(task.target_vocabulary))
    found = evaluate(model, task, torch.device("cpu"), Greedy(3.0, 10), processes)
    sources = [e.source for batch in processes.share(evaluation_batches(task.test())) for e in batch.examples]
    (path / f"{processes.rank}.json").write_text(json.dumps([found.metrics, found.by_length, sources]))
    dist.barrier()


def test_several_processes_measure_exactly_what_one_does(tmp_path: Path) -> None:
    count = 3  # gives unequal shares
    config = changed(composed([*TINY, f"runs_dir={tmp_path}"]), processes=count)
    task = build(config.parts["task"])
    model = build_model(config, len(task.source_vocabulary), len(task.target_vocabulary))
    alone = evaluate(model, task, torch.device("cpu"), Greedy(3.0, 10), ALONE)
    with joined(count, partial(_measure, config, tmp_path)) as processes:
        _measure(config, tmp_path, processes)
    written = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(count)]
    for metrics, by_length, _ in written:
        assert metrics == json.loads(json.dumps(alone.metrics))
        assert by_length == json.loads(json.dumps(alone.by_length))
    once = Counter(tuple(source) for *_, sources in written for source in sources)
    assert once == Counter(example.source for example in task.test())


def test_a_signal_to_either_process_stops_both_and_resuming_gives_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGTERM is sent to the leader in one attempt and to the follower in the next."""
    changes = ["encoder.dropout=0.2", "budget=401"]
    whole = changed(composed([*TINY, *changes, f"runs_dir={tmp_path / 'whole'}"]), processes=2)
    stopped = changed(whole, runs_dir=str(tmp_path / "stopped"))
    run.supervise(whole, RunFolder.of(whole))
    folder = RunFolder.of(stopped)
    for whom in ("leader", "follower"):
        ordinary, moments = Fit._on_safe_point, 0

        def send_at_the_third(self: Fit, training: Training, whom: str = whom, ordinary: Any = ordinary) -> None:
            nonlocal moments
            moments += 1
            if moments == 3:
                (other,) = multiprocessing.active_children()
                os.kill(os.getpid() if whom == "leader" else other.pid, signal.SIGTERM)
            ordinary(self, training)

        with monkeypatch.context() as patched:
            patched.setattr(Fit, "_on_safe_point", send_at_the_third)
            with pytest.raises(Stopped):
                run.supervise(stopped, folder)
        assert folder.state() == "preempted"
        assert moments >= 3
    run.supervise(stopped, folder)
    assert outcome(folder) == outcome(RunFolder.of(whole))


FOLLOWER_DIES = """
import os, signal, sys, threading, time, multiprocessing
from dataclasses import replace
from softlookup import run
from softlookup.config.resolve import composed
from softlookup.runs.run_folder import RunFolder

def kill():
    while not multiprocessing.active_children():
        time.sleep(0.01)
    time.sleep(0.5)
    os.kill(multiprocessing.active_children()[0].pid, signal.SIGKILL)

if __name__ == "__main__":
    threading.Thread(target=kill, daemon=True).start()
    config = composed(sys.argv[1:])
    config = replace(config, settings=replace(config.settings, processes=2))
    run.supervise(config, RunFolder.of(config))
"""


def test_a_run_ends_when_one_of_its_processes_is_killed(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(FOLLOWER_DIES)
    typed = [*TINY, f"runs_dir={tmp_path / 'runs'}"]
    done = subprocess.run(
        [sys.executable, str(program), *typed], capture_output=True, text=True, timeout=90, check=False
    )
    assert done.returncode == 1
    assert "process 1 of this run ended with -9; the run ends with it" in done.stdout
    (state,) = (tmp_path / "runs").glob("*/*/state.json")
    assert RunFolder(state.parent).status()[0] == "preempted"


def test_more_processes_than_validation_batches_are_rejected(tmp_path: Path) -> None:
    config = composed([*TINY, f"runs_dir={tmp_path}"])
    fit = Fit(build_run(config), Checkpoints(tmp_path), Stop(), Processes(6, 7))
    with (
        pytest.raises(UserError, match=r"processes=1000: at most \d+ share a run on this machine, 4 for each core"),
        joined(1000, partial(_measure, config, tmp_path)),
    ):
        pass
    with pytest.raises(UserError, match="processes=7: more than the number of validation batches"):
        fit.run()
