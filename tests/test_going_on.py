"""A finished run continued with a larger budget gives the same bits as one run with that budget."""

from pathlib import Path
from typing import Any

import pytest
import used_runs
from choices import OFFERED, node
from hydra.core.hydra_config import HydraConfig
from test_resume import attempt, outcome

from softlookup import run
from softlookup.config.build import build
from softlookup.config.resolve import composed, typed_keys
from softlookup.config.run_config import RunConfig
from softlookup.errors import Stopped, UserError
from softlookup.runs.inputs import with_inputs
from softlookup.runs.run_folder import RunFolder
from softlookup.runs.run_id import run_id, variant_key
from softlookup.training.fit import Fit

# 500 of 1,500 tokens and a third of the validations: about 11 of 31 steps; pools of four batches.
TINY = [
    "task.longest=6", "encoder.width=7", "encoder.dropout=0.3", "decoder.width=14", "attention.score.width=5",
    "schedule=constant", "optimizer.rate=0.02", "batch_tokens=48", "pool=4", "tracking=disabled", "device=cpu",
]  # fmt: skip
FIRST = ["budget=500", "validations=2", "keep_state=true"]


@pytest.fixture(autouse=True)
def _forget_the_last_config():
    yield
    HydraConfig.instance().cfg = None


def config_of(*words: str) -> RunConfig:
    return with_inputs(composed(list(words)), typed_keys())


def comparable_outcome(folder: RunFolder) -> dict[str, Any]:
    """Return everything a run writes, without its id, settings and origin."""
    content = outcome(folder)
    for key in ("id", "settings", "variant_key", "continued"):
        content["row"].pop(key, None)
    # The state kept for continuing contains times.
    content["row"]["files"] = [one for one in content["row"]["files"] if one["file"] != "checkpoints/state.pt"]
    return content


def stopped_often(resolved: dict[str, Any], monkeypatch: pytest.MonkeyPatch, every: int) -> RunFolder:
    """Finish a run that is stopped at moment `every` of every attempt."""

    def stop(fit: Fit, number: int) -> None:
        if number == every:
            fit.stop.number = 15

    while True:
        try:
            return attempt(resolved, monkeypatch, stop)
        except Stopped:
            continue


@pytest.mark.parametrize("changes", [["keep=best"], ["average=2", "accumulate=3"]], ids=" ".join)
def test_a_continued_run_gives_the_bits_of_one_run_with_the_larger_budget(
    changes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both parts are stopped repeatedly, so that the kept state is written at various moments."""
    whole = config_of(
        *TINY, *changes, "budget=1500", "validations=6", "keep_state=true", f"runs_dir={tmp_path / 'whole'}"
    )
    run.supervise(whole, RunFolder.of(whole))
    first = stopped_often(config_of(*TINY, *changes, *FIRST, f"runs_dir={tmp_path / 'a'}"), monkeypatch, 2)
    going = config_of(f"continue_from={first.path}", "budget=1500", f"runs_dir={tmp_path / 'b'}")
    assert going.settings.validations == 6  # validations continue at the rate of the first part
    assert RunFolder.of(going).id != RunFolder.of(whole).id
    second = stopped_often(going, monkeypatch, 7)
    ours, theirs = comparable_outcome(second), comparable_outcome(RunFolder.of(whole))
    assert ours["row"].items() == theirs["row"].items()
    assert ours == theirs
    row = second.result()
    assert row is not None
    assert row["continued"] == {"run": first.id, "budget": 500, "differs": []}
    assert sorted(path.name for path in first.checkpoints.iterdir()) == ["final.pt", "state.pt"]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    resolved = config_of(*TINY, *FIRST, f"runs_dir={tmp_path_factory.mktemp('first')}")
    run.supervise(resolved, RunFolder.of(resolved))
    HydraConfig.instance().cfg = None
    return RunFolder.of(resolved)


def test_a_different_validation_cadence_is_reported_and_changes_no_weight(
    first: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    going = config_of(f"continue_from={first.path}", "budget=900", "validations=2", f"runs_dir={tmp_path / 'b'}")
    whole = config_of(*TINY, "budget=900", "validations=2", f"runs_dir={tmp_path / 'a'}")
    for resolved in (going, whole):
        run.supervise(resolved, RunFolder.of(resolved))
    message = capsys.readouterr().out
    assert comparable_outcome(RunFolder.of(going))["weights"] == comparable_outcome(RunFolder.of(whole))["weights"]
    differences = RunFolder.of(going).result()["continued"]["differs"]  # type: ignore[index]
    assert differences == [
        "validations: the first part was measured at shares of budget=500 (validations=2), the rest at those of "
        "budget=900 (validations=2)"
    ]
    assert differences[0] in message


def test_continued_seeds_of_one_variant_remain_one_variant(first: RunFolder, tmp_path: Path) -> None:
    other = config_of(*TINY, *FIRST, "seed=2", f"runs_dir={tmp_path}")
    run.supervise(other, RunFolder.of(other))
    keys = set()
    for folder, seed in ((first, 1), (RunFolder.of(other), 2)):
        going = config_of(f"continue_from={folder.path}", "budget=900")
        assert going.settings.seed == seed
        keys.add(variant_key(going))
        keys.add(variant_key(config_of(f"continue_from={folder.path}", "budget=900", "threads=2")))
    assert len(keys) == 1
    # Repeating the whole command with a larger budget gives the same variant.
    again = config_of(*TINY, "keep_state=true", f"continue_from={first.path}", "budget=900")
    assert variant_key(again) in keys


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["budget=500"], "budget=500: .* has a budget of 500 target tokens; continue_from needs a larger one, as in"),
        ([], "continue_from needs a larger one, as in budget=1000"),
        (
            ["budget=900", "encoder.width=11"],
            r"differ: encoder\.width=11 \(7 there\); .* or start a new run with",
        ),
        (["budget=900", "seed=3"], r"differ: seed=3 \(1 there\); leave"),
        (["budget=900", "init_from=x"], "init_from starts a new run and continue_from continues an old one"),
    ],
)
def test_changes_that_prevent_continuing_are_rejected(first: RunFolder, words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        config_of(f"continue_from={first.path}", *words)


def test_a_run_without_kept_state_is_rejected(tmp_path: Path) -> None:
    resolved = config_of(*TINY, "budget=200", "validations=1", f"runs_dir={tmp_path}")
    run.supervise(resolved, RunFolder.of(resolved))
    with pytest.raises(UserError, match=r"has no checkpoints/state\.pt: only a run that was trained with"):
        config_of(f"continue_from={RunFolder.of(resolved).path}", "budget=900")


def test_a_damaged_state_is_rejected_by_name(first: RunFolder, tmp_path: Path) -> None:
    going = config_of(f"continue_from={first.path}", "budget=900", f"runs_dir={tmp_path}")
    state = first.checkpoints / "state.pt"
    data = state.read_bytes()
    try:
        state.write_bytes(data[:-1])
        with pytest.raises(UserError, match=r"state\.pt is corrupt"):
            run.supervise(going, RunFolder.of(going))
    finally:
        state.write_bytes(data)


def test_equal_settings_may_be_repeated_and_the_data_may_be_moved(
    first: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    going = config_of(f"continue_from={first.path}", "budget=900", "keep_state=true", "encoder.width=7", "seed=1")
    assert run_id(going) == run_id(config_of(f"continue_from={first.path}", "budget=900"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    text = [*("task=multi30k", "task.source=src", "task.target=tgt"), f"task.path={used_runs.corpus(tmp_path / 'a')}"]
    resolved = config_of(*(word for word in TINY if "task" not in word), *text, *FIRST, f"runs_dir={tmp_path / 'runs'}")
    run.supervise(resolved, RunFolder.of(resolved))
    words = [f"continue_from={RunFolder.of(resolved).path}", "budget=900", f"runs_dir={tmp_path / 'runs'}"]
    original = config_of(*words)
    (tmp_path / "a").rename(tmp_path / "b")
    words += ["task=multi30k", f"task.path={tmp_path / 'b'}"]
    moved = config_of(*words)
    assert (moved.parts["task"]["path"], run_id(moved)) == (str(tmp_path / "b"), run_id(original))
    (tmp_path / "b" / "train.tgt").write_text("a\n" * 101)
    with pytest.raises(UserError, match="train is not what that run was trained on; restore the data"):
        config_of(*words)


@pytest.mark.parametrize("part", ["schedule=linear", "curriculum=linear"])
def test_parts_that_follow_the_budget_cannot_be_continued(part: str, tmp_path: Path) -> None:
    """The error comes before the first step of the first run, not when it is continued."""
    resolved = config_of(*TINY, part, "budget=300", "validations=1", "keep_state=true", f"runs_dir={tmp_path}")
    with pytest.raises(UserError, match=f"{part} follows the share of the budget: .*or leave keep_state out"):
        run.supervise(resolved, RunFolder.of(resolved))
    assert not RunFolder.of(resolved).path.exists()


@pytest.mark.parametrize("choice", OFFERED["schedule"])
def test_a_schedule_declares_whether_it_follows_the_budget(choice: str) -> None:
    schedule = build(node("schedule", choice))
    moved = any(
        schedule.factor(0.0, step) != schedule.factor(share / 11, step) for step in (1, 7) for share in range(12)
    )
    assert schedule.follows_budget == moved
