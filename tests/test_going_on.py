"""A finished run that goes on under a larger budget comes to the bits of one that was asked for all of it at once."""

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
from softlookup.errors import Stopped, UserError
from softlookup.runs.inputs import with_inputs
from softlookup.runs.run_folder import RunFolder
from softlookup.runs.run_id import run_id, variant_key
from softlookup.training.fit import Fit

# 500 of 1,500 tokens, a third of the validations: about 11 steps of 31, pools of four batches.
TINY = [
    "task.longest=6", "encoder.width=7", "encoder.dropout=0.3", "decoder.width=14", "attention.score.width=5",
    "schedule=constant", "optimizer.rate=0.02", "batch_tokens=48", "pool=4", "tracking=disabled", "device=cpu",
]  # fmt: skip
FIRST = ["budget=500", "validations=2", "keep_state=true"]


@pytest.fixture(autouse=True)
def _forget_the_last_config():
    yield
    HydraConfig.instance().cfg = None


def asked(*words: str) -> dict[str, Any]:
    return with_inputs(composed(list(words)), typed_keys())


def found(folder: RunFolder) -> dict[str, Any]:
    """All that a run leaves but for its name, what it was asked for, and where it came from."""
    own = outcome(folder)
    for key in ("id", "settings", "variant_key", "continued"):
        own["row"].pop(key, None)
    # What is kept to go on from holds times.
    own["row"]["files"] = [one for one in own["row"]["files"] if one["file"] != "checkpoints/state.pt"]
    return own


def stopped_often(made: dict[str, Any], monkeypatch: pytest.MonkeyPatch, every: int) -> RunFolder:
    """A run that is stopped at every so many moments."""

    def stop(fit: Fit, number: int) -> None:
        if number == every:
            fit.stop.number = 15

    while True:
        try:
            return attempt(made, monkeypatch, stop)
        except Stopped:
            continue


@pytest.mark.parametrize("changes", [["keep=best"], ["average=2", "accumulate=3"]], ids=" ".join)
def test_going_on_comes_to_the_bits_of_the_larger_budget_at_once(
    changes: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both parts are stopped again and again, wherever the state to keep may lie."""
    whole = asked(*TINY, *changes, "budget=1500", "validations=6", "keep_state=true", f"runs_dir={tmp_path / 'whole'}")
    run.supervise(whole, RunFolder.of(whole))
    first = stopped_often(asked(*TINY, *changes, *FIRST, f"runs_dir={tmp_path / 'a'}"), monkeypatch, 2)
    going = asked(f"continue_from={first.path}", "budget=1500", f"runs_dir={tmp_path / 'b'}")
    assert going.settings.validations == 6  # where the first part was measured there would be measurements
    assert RunFolder.of(going).id != RunFolder.of(whole).id
    second = stopped_often(going, monkeypatch, 7)
    ours, theirs = found(second), found(RunFolder.of(whole))
    assert ours["row"].items() == theirs["row"].items()
    assert ours == theirs
    row = second.result()
    assert row is not None
    assert row["continued"] == {"run": first.id, "budget": 500, "differs": []}
    assert sorted(path.name for path in first.checkpoints.iterdir()) == ["final.pt", "state.pt"]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    made = asked(*TINY, *FIRST, f"runs_dir={tmp_path_factory.mktemp('first')}")
    run.supervise(made, RunFolder.of(made))
    HydraConfig.instance().cfg = None
    return RunFolder.of(made)


def test_what_is_measured_elsewhere_is_told_and_changes_no_weight(
    first: RunFolder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    going = asked(f"continue_from={first.path}", "budget=900", "validations=2", f"runs_dir={tmp_path / 'b'}")
    whole = asked(*TINY, "budget=900", "validations=2", f"runs_dir={tmp_path / 'a'}")
    for made in (going, whole):
        run.supervise(made, RunFolder.of(made))
    said = capsys.readouterr().out
    assert found(RunFolder.of(going))["weights"] == found(RunFolder.of(whole))["weights"]
    told = RunFolder.of(going).result()["continued"]["differs"]  # type: ignore[index]
    assert told == [
        "validations: the first part was measured at shares of budget=500 (validations=2), the rest at those of "
        "budget=900 (validations=2)"
    ]
    assert told[0] in said


def test_seeds_of_one_variant_stay_one_when_all_of_them_go_on(first: RunFolder, tmp_path: Path) -> None:
    other = asked(*TINY, *FIRST, "seed=2", f"runs_dir={tmp_path}")
    run.supervise(other, RunFolder.of(other))
    keys = set()
    for folder, seed in ((first, 1), (RunFolder.of(other), 2)):
        going = asked(f"continue_from={folder.path}", "budget=900")
        assert going.settings.seed == seed
        keys.add(variant_key(going))
        keys.add(variant_key(asked(f"continue_from={folder.path}", "budget=900", "threads=2")))
    assert len(keys) == 1
    # The whole command again, with more to do, asks for the same.
    again = asked(*TINY, "keep_state=true", f"continue_from={first.path}", "budget=900")
    assert variant_key(again) in keys


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["budget=500"], "budget=500: .* was asked for 500 target tokens; continue_from needs a larger budget, as in"),
        ([], "continue_from needs a larger budget, as in budget=1000"),
        (
            ["budget=900", "encoder.width=11"],
            r"others: encoder\.width=11 \(7 there\); .* or start a new run with",
        ),
        (["budget=900", "seed=3"], r"others: seed=3 \(1 there\); leave"),
        (["budget=900", "init_from=x"], "init_from starts a new run and continue_from goes on with an old one"),
    ],
)
def test_what_cannot_go_on_is_refused(first: RunFolder, words: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        asked(f"continue_from={first.path}", *words)


def test_a_run_without_its_state_is_refused(tmp_path: Path) -> None:
    made = asked(*TINY, "budget=200", "validations=1", f"runs_dir={tmp_path}")
    run.supervise(made, RunFolder.of(made))
    with pytest.raises(UserError, match=r"has kept no checkpoints/state\.pt: only a run that was trained with"):
        asked(f"continue_from={RunFolder.of(made).path}", "budget=900")


def test_a_damaged_state_is_refused_by_name(first: RunFolder, tmp_path: Path) -> None:
    going = asked(f"continue_from={first.path}", "budget=900", f"runs_dir={tmp_path}")
    state = first.checkpoints / "state.pt"
    data = state.read_bytes()
    try:
        state.write_bytes(data[:-1])
        with pytest.raises(UserError, match=r"state\.pt is corrupt"):
            run.supervise(going, RunFolder.of(going))
    finally:
        state.write_bytes(data)


def test_its_own_settings_may_be_typed_again_and_its_data_may_lie_elsewhere(
    first: RunFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    going = asked(f"continue_from={first.path}", "budget=900", "keep_state=true", "encoder.width=7", "seed=1")
    assert run_id(going) == run_id(asked(f"continue_from={first.path}", "budget=900"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    text = [*("task=multi30k", "task.source=src", "task.target=tgt"), f"task.path={used_runs.corpus(tmp_path / 'a')}"]
    made = asked(*(word for word in TINY if "task" not in word), *text, *FIRST, f"runs_dir={tmp_path / 'runs'}")
    run.supervise(made, RunFolder.of(made))
    wanted = [f"continue_from={RunFolder.of(made).path}", "budget=900", f"runs_dir={tmp_path / 'runs'}"]
    there = asked(*wanted)
    (tmp_path / "a").rename(tmp_path / "b")
    wanted += ["task=multi30k", f"task.path={tmp_path / 'b'}"]
    moved = asked(*wanted)
    assert (moved.parts["task"]["path"], run_id(moved)) == (str(tmp_path / "b"), run_id(there))
    (tmp_path / "b" / "train.tgt").write_text("a\n" * 101)
    with pytest.raises(UserError, match="train is not what that run was trained on; restore the data"):
        asked(*wanted)


@pytest.mark.parametrize("part", ["schedule=linear", "curriculum=linear"])
def test_what_follows_the_budget_does_not_go_on(part: str, tmp_path: Path) -> None:
    """Said before the first step, and not when it is to be gone on with."""
    made = asked(*TINY, part, "budget=300", "validations=1", "keep_state=true", f"runs_dir={tmp_path}")
    with pytest.raises(UserError, match=f"{part} follows the share of the budget: .*or leave keep_state out"):
        run.supervise(made, RunFolder.of(made))
    assert not RunFolder.of(made).path.exists()


@pytest.mark.parametrize("choice", OFFERED["schedule"])
def test_a_schedule_says_whether_it_follows_the_budget(choice: str) -> None:
    schedule = build(node("schedule", choice))
    moved = any(
        schedule.factor(0.0, step) != schedule.factor(share / 11, step) for step in (1, 7) for share in range(12)
    )
    assert schedule.follows_budget == moved
