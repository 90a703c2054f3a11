"""Every choice composes to checked values, and every mistake is answered with what to type next."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from choices import OFFERED
from hydra.core.hydra_config import HydraConfig

from softlookup.config import CONF, build, check_overrides, composed
from softlookup.errors import UserError

CHOICES = [(group, choice) for group, choices in OFFERED.items() for choice in choices if group != "experiment"]


@pytest.fixture(autouse=True)
def _forget_the_last_config():
    yield
    HydraConfig.instance().cfg = None


@pytest.mark.parametrize(("group", "choice"), CHOICES, ids=map("=".join, CHOICES))
def test_every_choice_composes_to_plain_checked_values(group: str, choice: str) -> None:
    config = composed([f"{group}={choice}"])
    assert config[group]["_target_"].startswith("softlookup.")
    if group != "tracking":
        assert config["choices"][group] == choice


@pytest.mark.parametrize("choice", OFFERED["experiment"])
def test_every_experiment_composes_and_keeps_no_scaffolding(choice: str) -> None:
    config = composed([f"experiment={choice}"])
    assert config["experiment_name"] == choice
    assert not {"tuned", "experiment", "hydra"} & config.keys()


def test_what_is_changed_by_value_is_a_choice_too() -> None:
    config = composed(["attention=dot", "attention.heads=4", "seed=7", "threads=2"])
    assert config["seed"] == 7
    assert config["attention"]["heads"] == 4
    assert config["choices"]["attention.heads"] == 4
    assert not {"seed", "threads"} & config["choices"].keys()


def test_the_normalizer_reaches_the_attention() -> None:
    config = composed(["normalizer=sparsemax"])
    assert config["attention"]["normalizer"]["_target_"] == "softlookup.normalizer.sparsemax.Sparsemax"


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        # Choices and keys, plain and with Hydra's plus signs: the nearest valid word.
        ("attention=addditive", "did you mean additive?"),
        ("attention=additive,dott", "no choice 'dott'; did you mean dot?"),
        ("attention='addditive'", "did you mean additive?"),
        ("+attention=addditive", "did you mean additive?"),
        ("++attention=addditive", "did you mean additive?"),
        ("experiment=botleneck", "did you mean bottleneck"),
        ("optimizer=sgd", "valid: adam"),
        ("atention=additive", "no choice or key is named 'atention'; did you mean attention?"),
        ("+atention=additive", "did you mean attention?"),
        ("++atention=additive", "did you mean attention?"),
        ("sed=3", "did you mean seed?"),
        ("+budgett=3", "did you mean budget?"),
        ("attention.heds=2", "attention.heds: no such key; did you mean heads?"),
        ("+attention.heds=2", "did you mean heads?"),
        ("++attention.heds=2", "did you mean heads?"),
        ("attention.score.wdth=3", "did you mean score.width"),
        ("+attention.score.wdth=3", "did you mean score.width"),
        ("++decoder.inputfeeding=true", "did you mean input_feeding?"),
        # Keys of another choice: who has them.
        ("decoder.input_feeding=true", "the chosen decoder has no such key; luong does"),
        ("++encoder.feed_forward=3", "the chosen encoder has no such key; transformer does"),
        # Types and ranges.
        ("seed=abc", "seed=abc: expected a whole number, got str 'abc'"),
        ("seed=1.5", "expected a whole number"),
        ("seed=true", "expected a whole number"),
        ("seed=-1", "expected at least 0"),
        ("budget=0", "expected at least 1"),
        ("optimizer.rate=abc", "optimizer.rate=abc: expected a number, got str 'abc'"),
        ("attention.heads=two", "attention.heads=two: expected a whole number or null, got str 'two'"),
        ("decoder=luong decoder.input_feeding=3", "expected true or false, got int 3"),
        ("attention.score=3", "attention.score=3: expected a choice"),
        ("attention.normalizer=softmax", "attention.normalizer=softmax: expected a choice"),
        ("encoder.width=0", "encoder.width=0: expected at least 1"),
        ("attention.score.width=-3", "expected at least 1"),
        ("encoder.dropout=1.0", "expected a share from 0 to below 1"),
        ("device=gpu", "expected auto, cpu or cuda"),
        ("experiment_name=a/b", "expected a plain folder name"),
        ("seed=${foo}", "Interpolation key 'foo' not found"),
        # Only our own classes and functions are ever called.
        ("attention._target_=os.system", "only what softlookup itself defines can be built"),
        ("attention.score._target_=pathlib.Path.write_text", "only what softlookup itself defines can be built"),
        ("attention._target_=softlookup.config.instantiate", "only what softlookup itself defines can be built"),
        ("attention._target_=softlookup.config.importlib.import_module", "there is no such class"),
        ("attention.score._target_=softlookup.attention.dot.Dott", "there is no such class"),
        ("++attention._args_=[1]", "attention._args_: no such key"),
        # What Hydra would take, and what would end in a half-empty or a mislabelled config.
        ("attention=null", "no choice 'null'"),
        ("attention=3", "no choice '3'"),
        ("attention=[additive,dot]", "no choice"),
        ("~attention", "nothing can be left out; write attention=VALUE"),
        ("~seed", "nothing can be left out"),
        ("~encoder.width", "nothing can be left out"),
        ("choices.attention=dot", "choose as in attention=additive"),
        ("seed", "expected key=value"),
        ("seed==3", "expected key=value"),
    ],
)  # fmt: skip
def test_a_mistake_is_answered_in_one_line_with_what_is_valid(typed: str, said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)) as caught:
        composed(typed.split(" "))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ["-m", "attention=additive,dot", "seed=range(1,4)"],
        ["-m", "attention=glob(fixed_*)"],
        ["--cfg", "job", "attention=dot"],
        ["hydra/launcher=basic"],
        ["attention='dot'"],
        ["++seed=3"],
    ],
    ids=" ".join,
)
def test_what_hydra_understands_is_let_through(arguments: list[str]) -> None:
    check_overrides(arguments)


@pytest.mark.parametrize(
    ("group", "typed", "said"),
    [
        ("optimizer", ["optimizer.rate=-1"], r"^optimizer\.rate=-1"),
        ("optimizer", ["optimizer.warmup=2"], r"^optimizer\.warmup=2"),
    ],
)
def test_what_a_constructor_refuses_is_told_in_its_words(group: str, typed: list[str], said: str) -> None:
    config = composed(typed)
    with pytest.raises(UserError, match=said):
        build(config[group])


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (
            ["attention=addditive"],
            "error: attention=addditive: attention has no choice 'addditive'; did you mean additive?",
        ),
        (["encoder=bag", "encoder.layers=2"], "error: encoder.layers: the chosen encoder has no such key; gru, lstm"),
        (["-m", "attention=dot", "seed=abc"], "error: seed=abc: expected a whole number"),
    ],
)
def test_the_command_line_ends_with_exit_code_2_and_no_traceback(tmp_path: Path, typed: list[str], said: str) -> None:
    command = [sys.executable, str(CONF.parent / "src" / "train.py"), *typed, f"runs_dir={tmp_path}"]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=tmp_path, env=dict(os.environ), timeout=120, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith(said)
    assert "Traceback" not in done.stdout + done.stderr
    assert not list(tmp_path.rglob("state.json"))
