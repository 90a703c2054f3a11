"""Every choice composes to checked values, and every mistake is answered with what to type next."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from choices import OFFERED
from hydra.core.hydra_config import HydraConfig

import softlookup.attention
from softlookup.config.build import build
from softlookup.config.catalog import CONF, hosts, presets, tables
from softlookup.config.command_line import check_overrides
from softlookup.config.components import located, signature
from softlookup.config.resolve import composed
from softlookup.config.values import ANY, check_range
from softlookup.errors import UserError
from softlookup.ranges import Range
from softlookup.runs.run_id import run_id

GROUPS = {group: choices for group, choices in OFFERED.items() if group not in presets()}
ROUNDS = range(max(map(len, GROUPS.values())))


@pytest.fixture(autouse=True)
def _forget_the_last_config():
    yield
    HydraConfig.instance().cfg = None


@pytest.mark.parametrize("place", ROUNDS)
def test_every_choice_composes_to_plain_checked_values(place: int) -> None:
    """The first choice of every group together, then the second, and so on; parts of parts by themselves."""
    chosen = {group: choices[min(place, len(choices) - 1)] for group, choices in GROUPS.items()}
    own = {group: choice for group, choice in chosen.items() if group not in hosts()}
    config = composed([f"{group}={choice}" for group, choice in own.items()])
    assert all(config.plain()[group]["_target_"].startswith("softlookup.") for group in own)
    assert config.choices.items() >= {g: choice for g, choice in own.items() if g != "tracking"}.items()
    inside = {"normalizer": "attention=additive", "window": "attention=additive", "segmentation": "task=multi30k"}
    for group, host in inside.items():
        config = composed([host, f"{group}={chosen[group]}"])
        target = config.parts[host.partition("=")[0]][group]["_target_"]
        assert target.startswith(f"softlookup.{group}.")
        assert config.choices[group] == chosen[group]


@pytest.mark.parametrize("choice", OFFERED["paper"])
def test_every_paper_composes_and_keeps_no_table(choice: str) -> None:
    config = composed([f"paper={choice}"])
    assert not {*tables(), *presets()} - {"tuned"} & config.plain().keys()
    assert (config.choices["paper"], config.choices["size"]) == (choice, "small")


@pytest.mark.parametrize("choice", OFFERED["experiment"])
def test_every_experiment_composes_and_keeps_no_table(choice: str) -> None:
    config = composed([f"experiment={choice}"])
    assert config.settings.experiment_name == choice
    assert not {"hydra", *tables(), *presets()} - {"tuned"} & config.plain().keys()


def test_what_is_changed_by_value_is_a_choice_too() -> None:
    config = composed(["attention=dot", "attention.heads=4", "seed=7", "threads=2"])
    assert config.settings.seed == 7
    assert config.parts["attention"]["heads"] == 4
    assert config.choices["attention.heads"] == 4
    assert not {"seed", "threads"} & config.choices.keys()


def test_the_normalizer_reaches_the_attention() -> None:
    config = composed(["normalizer=sparsemax"])
    assert config.parts["attention"]["normalizer"]["_target_"] == "softlookup.normalizer.sparsemax.Sparsemax"


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
        ("optimizer=lamb", "valid: adadelta, adam, sgd"),
        ("atention=additive", "no choice or key is named 'atention'; did you mean attention"),
        ("+atention=additive", "did you mean attention"),
        ("++atention=additive", "did you mean attention"),
        ("sed=3", "did you mean seed?"),
        ("+budgett=3", "did you mean budget?"),
        ("attention.heds=2", "attention.heds: no such key; did you mean attention.heads?"),
        ("+attention.heds=2", "did you mean attention.heads?"),
        ("++attention.heds=2", "did you mean attention.heads?"),
        ("attention.score.wdth=3", "did you mean attention.score.width"),
        ("+attention.score.wdth=3", "did you mean attention.score.width"),
        ("++decoder.inputfeeding=true", "did you mean decoder.input_feeding?"),
        # Keys of another choice: who has them.
        ("decoder.input_feeding=true", "the chosen decoder has no such key; luong, luong2015 do"),
        ("++encoder.feed_forward=3", "the chosen encoder has no such key; transformer, vaswani2017 do"),
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
        ("encoder.dropout=1.0", "expected a number from 0 to below 1"),
        ("device=gpu", "expected auto or cpu or cuda"),
        ("experiment_name=a/b", "expected a plain folder name"),
        ("experiment_name='<script>'", "expected a plain folder name"),
        ("experiment_name='a\nb'", "expected text of one line"),
        ("experiment_name='ü'", "expected a plain folder name"),
        ("experiment_name=..", "expected a plain folder name"),
        ("experiment_name=" + "a" * 101, "expected a plain folder name"),
        ("seed=${foo}", "Interpolation key 'foo' not found"),
        # Not numbers, and numbers beyond all sense.
        ("optimizer.rate=nan", "optimizer.rate=nan: expected a number, got float nan"),
        ("optimizer.clip=inf", "expected a number or null, got float inf"),
        ("optimizer.rate=-inf", "expected a number"),
        ("encoder.dropout=nan", "expected a number"),
        ("optimizer.rate=true", "optimizer.rate=true: expected a number"),
        ("encoder.width=1e12", "expected at most 65,536"),
        ("encoder.width=1000000000000", "encoder.width=1000000000000: expected at most 65,536"),
        ("encoder.layers=100000", "expected at most 256"),
        ("task.longest=1000000000", "expected at most 1,000,000"),
        ("optimizer.rate=1e300", "expected at most 1,000,000"),
        ("seed=4294967296", "expected at most 4,294,967,295"),
        ("budget=1.5", "expected a whole number, got float"),
        ("memory=0", "memory=0: expected at least 1"),
        ("checkpoint_seconds=nan", "checkpoint_seconds=nan: expected a number"),
        ("checkpoint_seconds=inf", "expected a number"),
        ("checkpoint_seconds=-1", "expected at least 0"),
        ("processes=0", "expected at least 1"),
        ("accumulate=0", "accumulate=0: expected at least 1"),
        ("average=13", "average=13: expected at most validations=12"),
        ("average=2 keep=best", "averages the weights of the last validations, whatever was best; set average=0"),
        ("average=2 patience=2", "set average=0, or keep=last and patience=null"),
        ("patience=11", "with validations=12 no run can end early; set validations=13 or more, or patience=10 or less"),
        ("average=1", "average=1: the mean of one is the last weights; set average=0, or 2 or more"),
        ("watch=bleu", "watch=bleu: no setting uses it; set keep=best or patience=N"),
        ("keep=best validations=1", "with validations=1 the best weights are the last ones"),
        ("watch=token_accuracy", "watch=token_accuracy: no setting uses it; set keep=best or patience=N"),
        ("watch_sentences=7", "watch_sentences=7: only watch=bleu decodes sentences"),
        ("match=parameters", "match=parameters: it needs the attention to reach; add match_to=additive"),
        ("match=parameters match_to=addtive", "match_to=addtive: no attention has this name; did you mean additive?"),
        ("match=state match_to=dot", "match=state: its cost depends on the source length; add match_length=32"),
        ("match_to=dot", "match_to=dot: without match=parameters it has no effect; add that, or leave it out"),
        ("match=parameters match_to=dot match_length=7", "match_length=7: without match=state it has no effect"),
        ("match=parameters match_to=dot match_widths=width", "expected one key or two, as in encoder.width+"),
        ("tune_seeds=3", "tune_seeds=3: without tune=rate:4 it has no effect; add that, or leave it out"),
        ("tune=rate:2", "tune=rate:2: expected rate:N, with N from 3 to 20 rates, as in rate:4"),
        ("processes=null", "processes=null: expected a whole number"),
        ("confirm=1", "confirm=1: expected true or false"),
        # Lists, dicts and nothing where a value belongs, a value where a part belongs.
        ("seed=[1,2]", "seed=[1, 2]: expected a whole number, got list"),
        ("encoder.width=[64]", "expected a whole number, got list"),
        ("encoder.width=null", "encoder.width=null: expected a whole number"),
        ("seed={a:1}", "seed={'a': 1}: expected a whole number, got dict"),
        ("runs_dir=null", "runs_dir=null: expected text"),
        ("runs_dir=''", "runs_dir=: expected a folder"),
        ("runs_dir='a\nb'", "expected text of one line, without control characters"),
        ("attention.score=null", "expected a choice"),
        ("attention.score=[1]", "Error merging override attention.score=[1]"),
        ("++attention.width={_target_:softlookup.attention.dot.Dot}", "the chosen attention has no such key"),
        ("task.longest=???", "Missing mandatory value: longest full_key: task.longest"),
        ("task.longest=9999999999999999999999x", "expected a whole number, got str"),
        ("++encoder.vocabulary=5", "encoder.vocabulary: no such key"),
        # Only classes and functions of the group's own package, that make what the group promises, are ever called.
        ("attention._target_=os.system", "only code of softlookup.attention can be built here"),
        ("attention.score._target_=pathlib.Path.write_text", "only code of softlookup.attention"),
        ("attention._target_=softlookup.config.resolve.id", "only code of softlookup.attention can be built here"),
        ("attention._target_=softlookup.attention", "only code of softlookup.attention can be built here"),
        ("attention._target_=[os.system]", "only code of softlookup.attention can be built here"),
        ("attention._target_=softlookup.normalizer.softmax.Softmax", "only code of softlookup.attention"),
        ("normalizer._target_=softlookup.task.copy.Copy", "only code of softlookup.normalizer"),
        ("tracking._target_=softlookup.runs.run_folder.RunFolder", "only code of softlookup.tracking can"),
        ("tracking._target_=softlookup.tracking.wandb_values.summary", "expected code that makes a Tracker"),
        ("attention.score._target_=softlookup.attention.dot.Dott", "there is no such class"),
        ("attention.score._target_=softlookup.attention.dot.Score", "there is no such class"),  # defined elsewhere
        ("attention.score._target_=softlookup.attention.additive.torch", "there is no such class"),
        ("attention._target_=softlookup.attention.dot.require_equal_widths", "expected code that makes a Attention"),
        ("attention._target_=softlookup.attention.fixed.FixedContext", "code that makes a Attention"),  # abstract
        ("attention.score._target_=softlookup.attention.fixed_mean.FixedMean", "expected code that makes a Score"),
        ("normalizer._target_=softlookup.attention.dot.Dot", "only code of softlookup.normalizer"),
        ("attention._partial_=false", "attention._partial_=False: expected true"),
        ("++normalizer._partial_=true", "normalizer._partial_=True: expected false"),
        ("++attention._args_=[1]", "attention._args_: no such key"),
        ("++attention._recursive_=false", "attention._recursive_: no such key"),
        ("++attention._convert_=all", "attention._convert_: no such key"),
        ("++encoder.width._target_=softlookup.encoder.gru.Gru", "encoder.width"),
        ("attention._target_='${oc.env:HOME}'", "an interpolation can only name a config key, as in ${seed}"),
        ("attention.score='${oc.decode:\"{_target_:os.system}\"}'", "an interpolation can only name a config key"),
        ("attention.score='${oc.create:{_target_:os.system}}'", "an interpolation can only name a config key"),
        ("++tuned.a=oc ++tuned.b='${${tuned.a}.env:HOME}'", "an interpolation can only name a config key"),
        ("attention._target_=${experiment_name} experiment_name=os.system", "only code of softlookup.attention"),
        # Hydra's own node would build what it names.
        ("hydra.callbacks.x._target_=os.system", "only the launcher can be chosen: hydra/launcher=NAME"),
        ("hydra.launcher._target_=os.system", "only the launcher can be chosen"),
        ("hydra.launcher={_target_:os.system}", "Hydra itself would act on this"),
        ("++hydra.launcher.setup={_target_:os.system}", "Hydra itself would act on this"),
        ("hydra.searchpath=[file:///tmp]", "Hydra itself would act on this"),
        ("hydra.job.env_set.LD_PRELOAD=x", "Hydra itself would act on this"),
        ("hydra/callbacks=x", "only the launcher can be chosen"),
        ("~hydra/launcher", "only the launcher can be chosen"),
        ("hydra/launcher=submitit_slrm", "hydra/launcher has no choice 'submitit_slrm'"),
        ("hydra/launcher=locla", "did you mean local?"),
        ("+attention@hydra.launcher=dot", "a group cannot be moved to a package; write attention=CHOICE"),
        # Flags, wherever they stand.
        ("attention=dot --mutlirun", "--mutlirun: no such flag; did you mean --multirun?"),
        ("--config-dir=/tmp", "--config-dir=/tmp: no such flag"),
        ("-cn other", "-cn: no such flag"),
        ("--config-pa /tmp", "--config-pa: no such flag"),
        ("--experimental-rerun x.pickle", "--experimental-rerun: no such flag"),
        ("--cfg jbo", "expected what to show; valid: job, hydra, all"),
        ("--cfg", "expected what to show"),
        ("--resolve", "give --cfg job with them"),
        ("--cfg job -m", "leave -m out"),
        ("--multirun=yes", "--multirun takes no value"),
        # What Hydra would take, and what would end in a half-empty or a mislabelled config.
        ("attention=null", "no choice 'null'"),
        ("attention=3", "no choice '3'"),
        ("attention=[additive,dot]", "no choice"),
        ("~attention", "no key can be deleted; write attention=VALUE"),
        ("~seed", "no key can be deleted"),
        ("~encoder.width", "no key can be deleted"),
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
        ["attention=additive,dot", "-m", "seed=1"],
        ["hydra.sweeper.params.seed='1,2'", "hydra.launcher.timeout_min=60", "hydra.mode=RUN"],
        ["--cfg", "job", "attention=dot"],
        ["hydra/launcher=basic"],
        ["attention='dot'"],
        ["++seed=3"],
    ],
    ids=" ".join,
)
def test_what_hydra_understands_is_let_through(arguments: list[str]) -> None:
    check_overrides(arguments)


@pytest.mark.parametrize("text", ["a b", "é", "日本", "<script>alert(1)</script>", "a'b", "../..", "a,b"])
def test_any_text_of_one_line_is_kept_as_it_is_and_the_id_stays_a_plain_folder_name(text: str) -> None:
    quoted = text.replace("'", "\\'")
    config = composed(["task=multi30k", f"task.path='{quoted}'", f"task.dataset='{quoted}'"])
    assert config.parts["task"]["path"] == os.path.join(os.getcwd(), text)
    assert config.parts["task"]["dataset"] == text
    assert re.fullmatch(r"additive-gru-multi30k-s1-[0-9a-f]{12}", run_id(config))


@pytest.mark.parametrize(
    "node",
    [
        {"_target_": "os.getcwd"},
        {"_target_": "softlookup.run.start"},
        {"_target_": "softlookup.normalizer.softmax.Softmax", "x": {"_target_": "os.getcwd"}},
    ],
)
def test_what_was_not_checked_before_is_not_built_either(node: dict) -> None:
    with pytest.raises(UserError, match="can be built here"):
        build(node)


@pytest.mark.parametrize(
    ("group", "typed", "said"),
    [
        ("optimizer", ["optimizer.rate=-1"], r"^optimizer\.rate=-1"),
        ("schedule", ["schedule.warmup=2"], r"^schedule\.warmup=2"),
    ],
)
def test_what_a_constructor_refuses_is_told_in_its_words(group: str, typed: list[str], said: str) -> None:
    config = composed(typed)
    with pytest.raises(UserError, match=said):
        build(config.parts[group])


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (
            ["attention=addditive"],
            "error: attention=addditive: attention has no choice 'addditive'; did you mean additive?",
        ),
        (["encoder=bag", "encoder.layers=2"], "error: encoder.layers: the chosen encoder has no such key; gru, lstm"),
        (["-m", "attention=dot", "seed=abc"], "error: seed=abc: expected a whole number"),
        (["--cfg", "job", "seed=-3"], "error: seed=-3: expected at least 0"),
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


def test_a_choice_that_an_experiment_did_not_tune_has_the_default_of_its_optimizer() -> None:
    tuned, other = (composed(["experiment=bottleneck", f"attention={name}"]) for name in ("additive", "dot"))
    assert (tuned.parts["optimizer"]["rate"], tuned.tuned) == (0.006, ("optimizer.rate",))
    assert (other.parts["optimizer"]["rate"], other.tuned) == (composed([]).parts["optimizer"]["rate"], ())


@pytest.mark.parametrize(
    ("target", "argument", "allowed"),
    [
        ("softlookup.attention.additive.Additive", "width", Range(1, 65_536)),
        ("softlookup.encoder.gru.Gru", "dropout", Range(0, 1, below=True)),
        ("softlookup.search.beam.Beam", "length_penalty", Range(0, 10)),
        ("softlookup.optimizer.adam.Adam", "beta1", ANY),
    ],
)
def test_a_range_is_that_of_the_constructor(target: str, argument: str, allowed: Range) -> None:
    found = located(target.split(".")[1], target, target.split(".")[1])
    assert signature(found)[argument].allowed == allowed


def test_a_number_out_of_its_range_is_refused_by_its_name() -> None:
    check_range("attention.score.rank", 3, Range(1, 7))
    with pytest.raises(UserError, match=r"attention\.score\.rank=-3: expected at least 1"):
        check_range("attention.score.rank", -3, Range(1, 7))
    for value in (1.0, -0.1, float("nan")):
        with pytest.raises(UserError, match="expected a number from 0 to below 1"):
            check_range("encoder.dropout", value, Range(0, 1, below=True))


def test_a_module_that_cannot_be_imported_is_reported_with_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(softlookup.attention, "__path__", [*softlookup.attention.__path__, str(tmp_path)])
    (tmp_path / "misspelled.py").write_text("from softlookup.ranges import Rang\n")
    with pytest.raises(UserError, match=r"softlookup\.attention\.misspelled cannot be imported: .*Rang"):
        located("attention", "softlookup.attention.misspelled.X", "attention")
    with pytest.raises(UserError, match="there is no such class"):
        located("attention", "softlookup.attention.nowhere.X", "attention")


def test_a_key_of_a_file_that_its_constructor_does_not_take_is_reported_with_the_file(conf: Path) -> None:
    for name, line in (("additive", "  widht: 7\n"), ("general", "  power: 7\n")):
        file = conf / "attention" / f"{name}.yaml"
        file.write_text(file.read_text().replace("  _partial_: true\n", f"  _partial_: true\n{line}", 1))
        key = line.strip().partition(":")[0]
        said = rf"conf/attention/{name}\.yaml: attention\.score\.{key}: .* has no argument {key}"
        with pytest.raises(UserError, match=said):
            composed([f"attention={name}"])


def test_an_error_in_a_part_of_several_parts_names_the_key_as_it_is_typed() -> None:
    typed = ["encoder=transformer", "decoder=transformer", "mixer=additive"]
    with pytest.raises(UserError, match=r"^mixer\.score\.width=0: expected at least 1"):
        composed([*typed, "mixer.score.width=0"])
    with pytest.raises(UserError, match=r"^mixer\.heads=null: expected a whole number"):
        composed([*typed, "mixer.heads=null"])
