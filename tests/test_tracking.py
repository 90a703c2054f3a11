"""Tracking against real wandb files and its real process, with a server that is not there or never answers.

Each run is in a process of its own, as runs are; the processes that wait for a timeout do so side by side.
"""

import ast
import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from softlookup.errors import UserError
from softlookup.tracking import Tracker, flatten

SCRIPT = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from softlookup.tracking import Tracker

mode, folder = sys.argv[1], Path(sys.argv[2])
hooks = sys.exit, sys.excepthook
tracker = Tracker(mode, "softlookup")
began = time.monotonic()
message = tracker.start(folder, "additive-s1-abc", "bottleneck", ["attention=additive", "x" * 80], {"seed": 1})
seconds = time.monotonic() - began
assert hooks == (sys.exit, sys.excepthook)
tracker.log({"train/loss": 0.5, "test/absent": None}, step=7)
ACTION
print(repr((message, tracker.messages, seconds)))
"""
FINISH = """
picture = SimpleNamespace(weights=np.eye(3), gold=np.eye(3, dtype=bool), source=["a", "b", "c"], target=["d", "e", "f"])
tracker.finish({"metrics": {"test/token_accuracy": 0.75}, "cost": {"cost/peak_bytes": 1009}}, [picture])
"""


def start(folder, mode="offline", action=FINISH, **environment):
    kept = {k: v for k, v in os.environ.items() if not k.startswith("WANDB_")}
    home = folder.parent / f"home of {folder.name}"
    home.mkdir()
    folder.mkdir()
    script = SCRIPT.replace("ACTION", action)
    return subprocess.Popen(
        [sys.executable, "-c", script, mode, str(folder)],
        env={**kept, "HOME": str(home), "OMP_NUM_THREADS": "1", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process):
    """What the tracker said; the process wrote nothing else, and left no service behind."""
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert services_of(process.pid) == []
    message, messages, seconds = ast.literal_eval(out)
    return message, messages, seconds


def services_of(pid):
    """wandb's processes that serve the process `pid`: it is named in their arguments."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode().split("\0")
        except OSError:
            continue
        if "wandb-core" in words[0] and str(pid) in words:
            found.append(int(path.parent.name))
    return found


def records(folder):
    (run,) = folder.glob("wandb/*run-*-additive-s1-abc")
    command = [Path(sys.executable).with_name("wandb"), "leet", "inspect", "--json", run]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    return [json.loads(line) for line in done.stdout.splitlines()]


def of_kind(logged, kind):
    return [record[kind] for record in logged if record["type"] == kind]


def test_offline_writes_the_whole_run_and_nothing_to_the_terminal(tmp_path):
    folder = tmp_path / "run"
    assert end(start(folder))[:2] == (None, [])
    logged = records(folder)
    (run,) = of_kind(logged, "run")
    assert (run["run_group"], run["run_id"], run["project"]) == ("bottleneck", "additive-s1-abc", "softlookup")
    assert run["tags"] == ["attention=additive", "x" * 64]
    assert run["config"]["update"]["seed"] == 1
    (point,) = (point["item"] for point in of_kind(logged, "history"))
    assert (point["train/loss"], point["_step"]) == (0.5, 7)
    assert "test/absent" not in point
    assert point["alignments/0.caption"] == "a b c → d e f"
    summary = {k: v for update in of_kind(logged, "summary") for k, v in update["update"].items()}
    assert (summary["test/token_accuracy"], summary["cost/peak_bytes"]) == (0.75, 1009)
    assert [last["exit_code"] for last in of_kind(logged, "exit")] == [0]
    assert len(list(folder.glob("wandb/**/alignments/*.png"))) == 1


def test_a_failed_run_is_marked_and_its_reason_kept(tmp_path):
    folder = tmp_path / "run"
    assert end(start(folder, action="tracker.fail('FloatingPointError: the loss is nan')"))[:2] == (None, [])
    logged = records(folder)
    summary = {k: v for update in of_kind(logged, "summary") for k, v in update["update"].items()}
    assert (summary["status"], summary["reason"]) == ("failed", "FloatingPointError: the loss is nan")
    assert [last["exit_code"] for last in of_kind(logged, "exit")] == [1]


def test_online_that_cannot_be_goes_on_offline_within_ten_seconds(tmp_path):
    key = {"WANDB_API_KEY": "0" * 40}
    with socket.create_server(("127.0.0.1", 0)) as mute:  # accepts, and never answers
        mute_url = f"http://127.0.0.1:{mute.getsockname()[1]}"
        cases = {
            "nobody listens": {"WANDB_BASE_URL": "http://127.0.0.1:9", **key},
            "nobody answers": {"WANDB_BASE_URL": mute_url, **key},
            "no key": {"WANDB_BASE_URL": "http://127.0.0.1:9"},
        }
        started = {name: start(tmp_path / name, "online", **environment) for name, environment in cases.items()}
        ended = {name: end(process) for name, process in started.items()}
    for name, (message, messages, seconds) in ended.items():
        folder = tmp_path / name
        (run,) = folder.glob("wandb/*run-*")  # nothing is left of the attempt
        assert messages == [message]
        assert "W&B is offline for this run" in message
        assert "\n" not in message
        assert message.endswith(f"upload it later with: wandb sync '{run}'")
        assert seconds < 10
        assert [last["exit_code"] for last in of_kind(records(folder), "exit")] == [0]
    assert "wandb login" in ended["no key"][0]


def test_wandb_that_fails_midway_is_told_once_and_the_run_goes_on(tmp_path):
    killed = (
        """
import os, signal, subprocess
import wandb
(service,) = [int(p.parent.name) for p in Path("/proc").glob("[0-9]*/cmdline")
              if b"wandb-core" in p.read_bytes().split(b"\\0")[0] and str(os.getpid()).encode() in p.read_bytes()]
os.kill(service, signal.SIGKILL)
for step in range(3):
    tracker.log({"train/loss": 0.25}, step=8 + step)
    time.sleep(0.2)
"""
        + FINISH
    )
    unwritable = (
        "tracker.finish({'metrics': {'x': 1.0}}, [SimpleNamespace(weights=None, gold=None, source=[], target=[])])"
    )
    processes = [start(tmp_path / "killed", action=killed), start(tmp_path / "picture", action=unwritable)]
    for process in processes:
        message, messages, _ = end(process)
        assert message is None
        assert len(messages) == 1
        assert "tracking ended" in messages[0]
        assert "\n" not in messages[0]


def test_a_killed_run_leaves_no_process_behind(tmp_path):
    waiting = "print('ready', flush=True); time.sleep(60)"
    process = start(tmp_path / "run", action=waiting)
    assert process.stdout.readline() == "ready\n"
    (service,) = services_of(process.pid)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=10)
    for _ in range(100):
        if not services_of(process.pid):
            break
        multiprocessing.Event().wait(0.1)
    else:
        os.kill(service, signal.SIGKILL)
        pytest.fail("wandb's service outlived the run that started it")


def _in_a_fork(folder, said):
    tracker = Tracker("offline", "softlookup")
    tracker.start(folder, "additive-s1-abc", "bottleneck", [], {})
    tracker.log({"train/loss": 0.5}, step=7)
    tracker.finish({"metrics": {"test/token_accuracy": 0.75}})
    said.send(tracker.messages)


def test_it_works_in_a_process_forked_from_a_server_that_has_wandb_loaded(tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["softlookup.tracking", "wandb"])
    listen, said = context.Pipe(duplex=False)
    process = context.Process(target=_in_a_fork, args=(tmp_path, said))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert listen.recv() == []
    assert [point["item"]["train/loss"] for point in of_kind(records(tmp_path), "history")] == [0.5]
    assert services_of(process.pid) == []


def test_disabled_writes_nothing_and_does_not_import_wandb(tmp_path):
    message, messages, _ = end(start(tmp_path / "run", "disabled", FINISH + "assert 'wandb' not in sys.modules"))
    assert (message, messages) == (None, [])
    assert list((tmp_path / "run").iterdir()) == []


def test_calls_without_a_start_do_nothing():
    tracker = Tracker("offline", "softlookup")
    tracker.log({"train/loss": np.nan}, step=1)
    tracker.finish({})
    tracker.fail("reason")
    assert tracker.messages == []


def test_a_mode_that_does_not_exist_is_refused():
    with pytest.raises(UserError, match=r"tracking.mode=ofline: did you mean offline"):
        Tracker("ofline", "softlookup")


@pytest.mark.parametrize("mode", ["offline", "online", "disabled"])
def test_each_choice_builds_a_tracker(mode):
    path = Path(__file__).parents[1] / "conf" / "tracking" / f"{mode}.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert content.pop("_target_") == "softlookup.tracking.Tracker"
    assert Tracker(**content).mode == mode


def test_the_row_becomes_one_level_of_names():
    row = {
        "id": "x",
        "choices": {"task": "copy"},
        "metrics": {"test/token_accuracy": 0.5, "test/bleu": None},
        "by_length": [{"low": 1, "high": 3, "count": 2, "bleu": None}, {"low": 4, "high": 7, "count": 5}],
        "cost": {"cost/peak_bytes": 7},
        "provenance": {"versions": {"torch": "2"}},
        "lengths": [{"length": 3, "step": 0}],
    }
    assert flatten(row) == {
        "id": "x",
        "choices/task": "copy",
        "test/token_accuracy": 0.5,
        "by_length/1-3/count": 2,
        "by_length/4-7/count": 5,
        "cost/peak_bytes": 7,
        "provenance/versions/torch": "2",
        "lengths": [{"length": 3, "step": 0}],
    }
