"""src/train.py from the command line: exit codes, and no file or argument makes it run foreign code.

Every case runs in a fork of one process that has the imports loaded, in a copy of the repository.
"""

import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

HOUSE = Path(__file__).parents[1]
# For each case: write its files, fork, run src/train.py with its words, remove the files.
RUNNER = """
import json, os, runpy, sys
from pathlib import Path
import softlookup.config.resolve, softlookup.contract
house = Path(sys.argv[1])
answers = []
for case in json.load(sys.stdin):
    before = {name: (house / name).read_text() if (house / name).exists() else None for name in case["files"]}
    for name, text in case["files"].items():
        (house / name).parent.mkdir(parents=True, exist_ok=True)
        (house / name).write_text(text, "utf-8", "surrogateescape")
    child = os.fork()
    if child == 0:
        out = os.open(house / "out.txt", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(out, 1), os.dup2(out, 2)
        sys.argv = [str(house / "src" / "train.py"), *case["words"]]
        code = 99
        try:
            exec(case["before"])
            runpy.run_path(sys.argv[0], run_name="__main__")
        except SystemExit as ended:
            code = ended.code
        finally:
            sys.stdout.flush(), sys.stderr.flush()
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    answers.append({"code": code, "said": (house / "out.txt").read_text()})
    for name, text in before.items():
        (house / name).unlink() if text is None else (house / name).write_text(text)
print(json.dumps(answers))
"""


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy src, conf and experiments, so that files can be planted."""
    copy = tmp_path_factory.mktemp("house")
    for name in ("src", "conf", "experiments"):
        shutil.copytree(HOUSE / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def ask(house: Path, *cases: dict[str, Any]) -> list[dict[str, Any]]:
    """Run cases (`words`, `files`, code to run `before`); return the exit code and output of each."""
    complete = [{"files": {}, "before": "", **case} for case in cases]
    done = subprocess.run(
        [sys.executable, "-c", RUNNER, str(house)],
        input=json.dumps(complete),
        capture_output=True,
        text=True,
        cwd=house,
        env={**os.environ, "PYTHONPATH": str(house / "src"), "OMP_NUM_THREADS": "1", "PYTHONUNBUFFERED": "1"},
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


# A node that writes the file `marker` when Hydra instantiates it.
BOMB = "{_target_: pathlib.Path.write_text, _args_: [{_target_: pathlib.Path, _args_: [marker]}, ran]}"
AS_A_WORD = "{_target_:pathlib.Path.write_text,_args_:[{_target_:pathlib.Path,_args_:[marker]},ran]}"
HEADER = "# @package _global_\n"
X = "experiments/x.yaml"


def hydra(node: str) -> str:
    """Return an experiment that sets something in the node `hydra`."""
    return f"{HEADER}hydra: {{{node}}}"


DECODED = f"'${{oc.decode:\"{AS_A_WORD}\"}}'"
HANDLERS = "handlers: {x: {(): pathlib.Path.touch, self: marker}}"
# The file, its content, and what the error message has besides the file's name.
PLANTED = {
    "callbacks": (X, hydra(f"callbacks: {{x: {BOMB}}}"), "hydra.callbacks.x._target_"),
    "launcher": (X, hydra(f"launcher: {{x: {BOMB}}}"), "hydra.launcher.x._target_"),
    "foreign launcher": (X, hydra("launcher: {_target_: os.system}"), "hydra.launcher._target_=os.system"),
    "sweeper": (X, hydra(f"sweeper: {{x: {BOMB}}}"), "hydra.sweeper.x._target_"),
    "sweeper's values": (X, hydra("sweeper: {params: {hydra.callbacks.x: 1}}"), "hydra.sweeper.params.hydra.callbacks"),
    "logging": (X, hydra(f"job_logging: {{{HANDLERS}}}"), "hydra.job_logging.handlers.x.()"),
    "search path": (X, hydra("searchpath: [file:///tmp]"), "hydra.searchpath[]=file:///tmp"),
    "environment": (X, hydra("job: {env_set: {LD_PRELOAD: x.so}}"), "hydra.job.env_set.LD_PRELOAD=x.so"),
    "reference": (X, hydra("callbacks: '${tuned.x}'") + "\ntuned: {x: {y: 1}}", "hydra.callbacks=${tuned.x}"),
    "decoded": (X, hydra(f"launcher: {{x: {DECODED}}}"), "an interpolation can only name a config key"),
    "decoded elsewhere": (X, f"{HEADER}tuned: {{x: {DECODED}}}", "an interpolation can only name a config key"),
    "environment's": (X, f"{HEADER}task: {{_target_: '${{oc.env:HOME}}'}}", "task._target_=${oc.env:HOME}"),
    "a nested part": (X, f"{HEADER}attention: {{score: {BOMB}}}", "attention.score._target_=pathlib.Path.write_text"),
    "a list": (X, f"{HEADER}attention: {{score: [{BOMB}]}}", "attention.score[]._target_"),
    "a pickle": (X, f"{HEADER}task: {{_target_: torch.load, f: x.pickle}}", "task._target_=torch.load"),
    "another folder": (X, f"{HEADER}defaults: [../../elsewhere/evil]", "expected the names of choices"),
    "another place": (X, f"{HEADER}defaults: [/attention@hydra.callbacks.x: dot]", "expected the names of choices"),
    "another package": ("conf/task/x.yaml", f"# @package hydra\ncallbacks: {{x: {BOMB}}}", "cannot be moved"),
    "a group of Hydra's": ("conf/hydra/callbacks/x.yaml", f"x: {BOMB}", "hydra.callbacks.x._target_"),
    "a tag": (X, f"{HEADER}seed: !!python/object/apply:os.system ['touch marker']", "could not determine"),
    "no mapping": (X, f"{HEADER}- seed", "expected keys with values, got list"),
    "no YAML": (X, f"{HEADER}seed: [1", "expected ',' or ']'"),
    "not UTF-8": (X, f"{HEADER}seed: 1 # \udcff", "'utf-8' codec can't decode"),
}

TYPED = {
    "callbacks": [f"+hydra.callbacks.x={AS_A_WORD}"],
    "callbacks' target": ["+hydra.callbacks.x._target_=os.getcwd"],
    "launcher": [f"++hydra.launcher.x={AS_A_WORD}", "-m"],
    "launcher's target": ["hydra.launcher._target_=os.system", "-m"],
    "sweeper": [f"++hydra.sweeper.x={AS_A_WORD}", "-m"],
    "sweeper's target": ["hydra.sweeper._target_=os.system", "-m"],
    "sweeper's values": [f"+hydra.sweeper.params.hydra.callbacks.x={AS_A_WORD}", "-m"],
    "a launcher of others": ["hydra/launcher=joblib", "-m"],
    "search path": ["hydra.searchpath=[elsewhere]", "experiment=bottleneck"],
    "configs from elsewhere": ["--config-dir", "elsewhere"],
    "configs from elsewhere, in short": ["-cd", "elsewhere", "-cn", "evil"],
    "configs from elsewhere, in part": ["--config-pat=elsewhere"],
    "another config": ["--config-name=../elsewhere/evil"],
    "a choice from elsewhere": ["experiment=../../elsewhere/evil"],
    "a pickle": ["--experimental-rerun", "elsewhere/config.pickle"],
    "another place": ["+task@hydra.callbacks.x=copy"],
    "logging": ["hydra.job_logging.handlers={x:{class:os.system}}"],
    "a part": [f"attention.score={AS_A_WORD}"],
}


class _Bomb:
    def __reduce__(self) -> tuple:
        return (Path.write_text, (Path("marker"), "ran"))


@pytest.fixture(scope="module")
def answers(house: Path) -> dict[str, dict[str, Any]]:
    """Run every case; return the answers."""
    (house / "elsewhere").mkdir()
    (house / "elsewhere" / "evil.yaml").write_text(f"{HEADER}hydra: {{callbacks: {{x: {BOMB}}}}}")
    (house / "elsewhere" / "config.pickle").write_bytes(pickle.dumps(_Bomb()))
    cases = {
        f"file: {name}": {"words": ["experiment=x", "-m"], "files": {file: text}}
        for name, (file, text, _) in PLANTED.items()
    } | {f"word: {name}": {"words": words} for name, words in TYPED.items()}
    return dict(zip(cases, ask(house, *cases.values()), strict=True))


def rejection(answer: dict[str, Any], house: Path) -> str:
    """Assert exit code 2, one line of output, no `marker` and no run folder; return the output."""
    assert answer["code"] == 2, answer["said"]
    assert answer["said"].startswith("error: "), answer["said"]
    assert answer["said"].count("\n") == 1, answer["said"]
    assert not (house / "marker").exists()
    assert not (house / "runs").exists()
    return answer["said"]


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_file_is_rejected_by_name_and_runs_nothing(name: str, answers: dict[str, Any], house: Path) -> None:
    file, _, expected = PLANTED[name]
    message = rejection(answers[f"file: {name}"], house)
    assert expected in message
    assert file.replace("experiments/", "conf/experiment/") in message


@pytest.mark.parametrize("name", TYPED)
def test_an_argument_that_would_run_code_is_rejected_by_name(name: str, answers: dict[str, Any], house: Path) -> None:
    message = rejection(answers[f"word: {name}"], house)
    assert any(word.split("=")[0].lstrip("+").split("[")[0] in message for word in TYPED[name])


def test_without_the_check_the_same_file_runs(house: Path) -> None:
    unguarded = (
        "import softlookup.config.command_line; softlookup.config.command_line.check_overrides = lambda words: None"
    )
    file, text, _ = PLANTED["callbacks"]
    ask(house, {"words": ["experiment=x", "seed=abc"], "files": {file: text}, "before": unguarded})
    assert (house / "marker").read_text() == "ran"
    (house / "marker").unlink()


FAKE = """
import os, sys, types
from softlookup.errors import Stopped, UserError
def start(config):
    print("seed", config.settings.seed)
    {does}
sys.modules["softlookup.run"] = types.SimpleNamespace(start=start)
"""
STOPPED = "stopped; the same command continues from here"
BROKEN = "raise RuntimeError('broken')"
# What a run does: exit code and last line of output.
ENDS = {
    "pass": (0, "seed 1"),
    "raise UserError('heads=3 does not divide 128')": (2, "error: heads=3 does not divide 128"),
    "raise FloatingPointError('the loss is nan at step 7')": (1, "diverged: the loss is nan at step 7"),
    BROKEN: (1, "RuntimeError: broken"),
    "sys.exit(0)": (1, "RuntimeError: something in the run called sys.exit(0)"),
    "sys.exit(7)": (1, "RuntimeError: something in the run called sys.exit(7)"),
    "raise KeyboardInterrupt": (130, STOPPED),
    "raise Stopped(2)": (130, STOPPED),
    "raise Stopped(15)": (143, STOPPED),
}


def test_the_exit_code_and_the_last_line_state_how_a_run_ended(house: Path) -> None:
    memory = "raise MemoryError('1 GB')"
    *answers, out = ask(house, *({"words": [], "before": FAKE.format(does=does)} for does in [*ENDS, memory]))
    ends = [(answer["code"], answer["said"].splitlines()[-1]) for answer in answers]
    assert dict(zip(ENDS, ends, strict=True)) == ENDS
    assert [does for does, answer in zip(ENDS, answers, strict=True) if "Traceback" in answer["said"]] == [BROKEN]
    assert out["code"] == 1
    assert "out_of_memory: MemoryError: 1 GB" in out["said"]


SWEEP = ["seed=1,2,3", "-m", "hydra/launcher=basic", "runs_dir=elsewhere"]
ALL = ["seed 1", "seed 2", "seed 3"]
# What the runs of a sweep do: exit code and complete output.
SWEEPS = {
    "pass": (0, ALL),
    "if config.settings.seed == 1: raise UserError('one')": (2, [*ALL, "error: one"]),
    "raise UserError('the same')": (2, [*ALL, "error: the same"]),
    "if config.settings.seed < 3: raise FloatingPointError(config.settings.seed)": (
        1,
        [*ALL, "diverged: 1", "diverged: 2"],
    ),
    "if config.settings.seed == 2: raise Stopped(15)": (143, [*ALL[:2], STOPPED]),
    "raise KeyboardInterrupt": (130, [*ALL[:1], STOPPED]),
}


def test_the_basic_launcher_reports_every_error_and_accepts_its_flag_anywhere(house: Path) -> None:
    answers = ask(house, *({"words": SWEEP, "before": FAKE.format(does=does)} for does in SWEEPS))
    ends = [(answer["code"], answer["said"].splitlines()) for answer in answers]
    assert dict(zip(SWEEPS, ends, strict=True)) == SWEEPS


def test_an_error_in_another_process_is_reported_by_its_launcher(house: Path) -> None:
    # The process that read the entry point is not the process of the run.
    elsewhere = "real, calls = os.getpid, iter([1])\nos.getpid = lambda: next(calls, real())"
    before = FAKE.format(does="raise FloatingPointError('over there')") + elsewhere
    (answer,) = ask(house, {"words": [], "before": before})
    assert "Error executing job with overrides" in answer["said"]  # Hydra's message: it received the error
    assert answer["code"] == 1
