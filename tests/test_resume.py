"""A run that is stopped at any moment and resumed gives the same bits as an undisturbed run."""

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from configs import changed
from hydra.core.hydra_config import HydraConfig

from softlookup import run
from softlookup.config.resolve import composed
from softlookup.config.run_config import RunConfig
from softlookup.errors import Stopped, UserError
from softlookup.runs.run_folder import RunFolder
from softlookup.system.signals import Stop
from softlookup.task.synthetic import Fresh, Synthetic
from softlookup.training.fit import Fit
from softlookup.training.module import Training

# 27 steps of two batches each, five validations at equal shares of the budget; the curriculum's limit grows at
# some of them; pools end in the middle of steps; encoder and decoder have dropout.
TINY = [
    "task.longest=6", "curriculum=adaptive", "curriculum.start=3", "curriculum.growth=1", "curriculum.threshold=0.02",
    "encoder.width=7", "encoder.dropout=0.3", "decoder.width=14", "decoder.dropout=0.2", "attention.score.width=5",
    "optimizer.rate=0.02", "budget=1301", "batch_tokens=24", "accumulate=2", "validations=5",
    "keep=best", "watch=token_accuracy", "tracking=disabled", "device=cpu",
]  # fmt: skip
MEASURED = re.compile("second")


@pytest.fixture(autouse=True)
def _forget_the_last_config():
    yield
    HydraConfig.instance().cfg = None


def config(runs_dir: Path, *changes: str) -> RunConfig:
    return composed([*TINY, "checkpoint_seconds=1000", *changes, f"runs_dir={runs_dir}"])


def outcome(folder: RunFolder) -> dict[str, Any]:
    """Return everything a run writes, without measured times and provenance; weights as a hash."""
    row = folder.result()
    assert row is not None
    weights = torch.load(folder.checkpoints / "final.pt", weights_only=True)
    digest = hashlib.sha256(b"".join(weights[name].numpy().tobytes() for name in sorted(weights)))
    return {
        "row": {key: value for key, value in row.items() if key not in ("cost", "provenance")},
        "cost": {key: value for key, value in row["cost"].items() if not MEASURED.search(key)},
        "records": [{k: v for k, v in record.items() if k != "seconds"} for record in folder.records()],
        "weights": digest.hexdigest(),
        "alignments": hashlib.sha256((folder.path / "alignments.npz").read_bytes()).hexdigest(),
    }


def alone(fit: Fit, number: int) -> None:
    """Leave the run undisturbed."""


def attempt(
    resolved: dict[str, Any], monkeypatch: pytest.MonkeyPatch, at_safe_point: Callable[[Fit, int], None] = alone
) -> RunFolder:
    """Run once; `at_safe_point` is called with the number of each moment between two complete steps or validations."""
    folder = RunFolder.of(resolved)
    ordinary, count = Fit._on_safe_point, 0

    def on_safe_point(self: Fit, training: Training) -> None:
        nonlocal count
        at_safe_point(self, count)
        count += 1
        ordinary(self, training)

    with monkeypatch.context() as patched:
        patched.setattr(Fit, "_on_safe_point", on_safe_point)
        folder.begin(resolved)
        folder.set_state("running")
        run.execute(resolved, folder, Stop())
    folder.finish()
    return folder


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    resolved = config(tmp_path_factory.mktemp("undisturbed"))
    with pytest.MonkeyPatch.context() as patch:
        moments: list[int] = []
        found = outcome(attempt(resolved, patch, lambda _, number: moments.append(number)))
    HydraConfig.instance().cfg = None
    limits = [point["length"] for point in found["row"]["lengths"]]
    assert len(limits) > 2, "the limit of the curriculum must grow during the run"
    return {**found, "moments": len(moments)}


@pytest.mark.parametrize("start", range(4))
def test_stopped_at_every_moment_a_run_gives_the_same_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[str, Any], start: int
) -> None:
    """Stop the run at moment `start` and then at every fourth; over all values of `start` every moment has its stop."""
    resolved = config(tmp_path)
    attempts = 0
    stopped_at = []
    while True:
        stops = start if attempts == 0 else 3

        def stop(fit: Fit, number: int, after: int = stops) -> None:
            if number == after:
                stopped_at.append(fit.training.steps)
                fit.stop.number = 15

        attempts += 1
        try:
            folder = attempt(resolved, monkeypatch, stop)
            break
        except Stopped:
            continue
    assert len(stopped_at) == attempts - 1 == (undisturbed["moments"] - 1 - start) // 4 + 1
    assert outcome(folder) == {key: value for key, value in undisturbed.items() if key != "moments"}
    assert not folder.manifest_path.exists()
    assert [path.name for path in folder.checkpoints.iterdir()] == ["final.pt"]


def test_a_run_in_bf16_that_is_stopped_gives_the_same_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for stops in (False, True):
        resolved = config(
            tmp_path / str(stops), "precision=bf16", "budget=401", "validations=2", "keep=last", "watch=loss"
        )

        def stop(fit: Fit, number: int, stops: bool = stops) -> None:
            if stops and number == 4 and fit.training.steps == 5:
                fit.stop.number = 15

        with pytest.raises(Stopped) if stops else nullcontext():
            found.append(outcome(attempt(resolved, monkeypatch, stop)))
        if stops:
            found.append(outcome(attempt(resolved, monkeypatch)))
    assert found[0] == found[1]
    assert found[0]["row"]["precision"] == {"training": "bf16", "evaluation": "float32"}


class Killed(BaseException):
    """Simulate kill -9: nothing is written afterwards."""


def test_a_killed_run_resumes_from_its_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[str, Any]
) -> None:
    resolved = changed(config(tmp_path), checkpoint_seconds=0)
    resumed = []

    def die(fit: Fit, number: int) -> None:  # noqa: ARG001
        if number == 17:
            raise Killed

    with pytest.raises(Killed):
        attempt(resolved, monkeypatch, die)
    folder = attempt(resolved, monkeypatch, lambda fit, _: resumed.append(fit.training.steps))
    assert resumed[0] > 10
    assert outcome(folder) == {key: value for key, value in undisturbed.items() if key != "moments"}


@pytest.mark.parametrize("kill", [2, 5, 11, 30])
def test_steps_after_the_last_checkpoint_are_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: dict[str, Any], kill: int
) -> None:
    resolved = config(tmp_path)

    def die(fit: Fit, number: int) -> None:
        if number % 4 == 1:
            fit.save()
        if number == kill:
            raise Killed

    with pytest.raises(Killed):
        attempt(resolved, monkeypatch, die)
    with (tmp_path / "single" / RunFolder.of(resolved).id / "metrics.jsonl").open("ab") as torn:
        torn.write(b'{"step": 99, "tok')
    folder = attempt(resolved, monkeypatch)
    assert outcome(folder) == {key: value for key, value in undisturbed.items() if key != "moments"}


def stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, Any], RunFolder]:
    """Return the config and folder of a run that was stopped after two checkpoints."""
    resolved = config(tmp_path)

    def stop(fit: Fit, number: int) -> None:
        if number == 8:
            fit.save()
        if number == 13:
            fit.stop.number = 15

    with pytest.raises(Stopped):
        attempt(resolved, monkeypatch, stop)
    folder = RunFolder.of(resolved)
    assert len(list(folder.checkpoints.iterdir())) == 2
    return resolved, folder


@pytest.mark.parametrize("damage", ["flipped", "truncated"])
def test_a_damaged_checkpoint_is_reported_and_the_previous_one_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, undisturbed: dict, damage: str
) -> None:
    resolved, folder = stopped(tmp_path, monkeypatch)
    newest = folder.checkpoints / json.loads(folder.manifest_path.read_text())[-1]["file"]
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    newest.write_bytes(data if damage == "flipped" else data[:-1000])
    attempt(resolved, monkeypatch)
    message = capsys.readouterr().out
    assert f"{newest} is corrupt" in message
    assert ("wrong SHA-256" in message) == (damage == "flipped")
    assert outcome(folder) == {key: value for key, value in undisturbed.items() if key != "moments"}


def test_a_lost_checkpoint_is_an_error_and_never_restarts_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved, folder = stopped(tmp_path, monkeypatch)
    for lose, message in (
        (lambda: next(folder.checkpoints.iterdir()).unlink(), r"step-\d+\.pt is missing.*rm -r"),
        (lambda: shutil.rmtree(folder.checkpoints), r"is missing.*rm -r"),
        (lambda: folder.manifest_path.write_text("[{]"), r"checkpoints\.json cannot be read"),
        (lambda: folder.manifest_path.write_text("{}"), r"checkpoints\.json cannot be read"),
    ):
        lose()
        with pytest.raises(UserError, match=message):
            run.supervise(resolved, folder)
        assert folder.state() == "failed"
        assert folder.manifest_path.exists()


def test_a_lost_manifest_is_an_error_and_never_restarts_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved, folder = stopped(tmp_path, monkeypatch)
    folder.manifest_path.unlink()
    with pytest.raises(UserError, match=r"checkpoints\.json or result\.json, which verify them, are gone.*rm -r"):
        run.supervise(resolved, folder)
    assert len(list(folder.checkpoints.iterdir())) == 2


def test_no_intact_checkpoint_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolved, folder = stopped(tmp_path, monkeypatch)
    for path in folder.checkpoints.iterdir():
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"no checkpoint is valid: .*0 of \d+ bytes.*0 of \d+ bytes.*rm -r"):
        run.supervise(resolved, folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [({"threads": 2}, "threads=1 became 2"), ({"budget": 1302}, "budget=1301 became 1302")],
)
def test_a_changed_config_is_rejected_with_the_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: dict, message: str
) -> None:
    resolved, folder = stopped(tmp_path, monkeypatch)
    with pytest.raises(UserError, match=message):
        run.supervise(changed(resolved, **change), folder)


def test_lost_records_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolved, folder = stopped(tmp_path, monkeypatch)
    folder.metrics_path.write_bytes(folder.metrics_path.read_bytes()[:-9])
    with pytest.raises(UserError, match="has 1 whole records, and the checkpoint was made after 2"):
        run.supervise(resolved, folder)


def test_changed_records_are_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    resolved, folder = stopped(tmp_path, monkeypatch)
    folder.metrics_path.write_bytes(folder.metrics_path.read_bytes().replace(b'"step": ', b'"step": 1', 1))
    with pytest.raises(UserError, match="was changed after the checkpoint was made"):
        run.supervise(resolved, folder)


@pytest.mark.parametrize("what", ["training", "test"])
def test_changed_data_are_rejected(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    resolved, folder = stopped(tmp_path, monkeypatch)
    if what == "training":
        one = Fresh.__next__
        monkeypatch.setattr(Fresh, "__next__", lambda self: (one(self), one(self))[1])
    else:
        ordinary = Synthetic.test
        monkeypatch.setattr(Synthetic, "test", lambda self: ordinary(self)[:-1])
    message = "training examples are not those" if what == "training" else "validation and test data=.* became"
    with pytest.raises(UserError, match=message):
        run.supervise(resolved, folder)


def test_a_finished_run_that_lost_its_state_is_done_and_a_lost_result_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolved = config(tmp_path)
    folder = attempt(resolved, monkeypatch)
    row = folder.result()
    (folder.path / "state.json").unlink()
    assert folder.done()
    assert folder.result() == row
    (folder.path / "result.json").write_text("{")
    with pytest.raises(UserError, match=r"checkpoints\.json or result\.json, which verify them, are gone.*rm -r"):
        run.supervise(resolved, folder)


def test_validation_cadence_and_loggers_change_no_weight(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Random numbers drawn between two steps do not affect a run."""

    def variant(name: str, *changes: str) -> RunConfig:
        return composed(
            [a for a in TINY if not a.startswith(("curriculum", "keep", "watch"))]
            + [*changes, f"runs_dir={tmp_path / name}"]
        )

    def disturb(fit: Fit, number: int) -> None:  # noqa: ARG001
        torch.rand(number + 3)
        torch.manual_seed(number)

    plain, often = variant("plain"), variant("often", "validations=13")
    logged, noisy = variant("logged", "tracking=offline"), variant("noisy")
    found = [
        outcome(attempt(plain, monkeypatch)),
        outcome(attempt(often, monkeypatch)),
        outcome(attempt(logged, monkeypatch)),
        outcome(attempt(noisy, monkeypatch, disturb)),
    ]
    assert len({one["weights"] for one in found}) == 1
    assert len(found[1]["records"]) > len(found[0]["records"])
