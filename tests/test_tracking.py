"""Tracking with real wandb files and processes, and a server that is reachable, unreachable, or stops answering.

Each run has its own process, as real runs do; processes that wait for a timeout run in parallel.
"""

import ast
import contextlib
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
from wandb_server import clean_environment, inspected, of_kind, points_of, serving, summary_of, sync

from softlookup.errors import UserError
from softlookup.tracking import wandb_files
from softlookup.tracking.wandb_tracker import UPLOAD, Tracker
from softlookup.tracking.wandb_values import summary

SCRIPT = """
import json, os, resource, shutil, sys, time
from pathlib import Path
from types import SimpleNamespace
import numpy as np
from softlookup.tracking import wandb_tracker as tracking
from softlookup.runs.run_folder import RunFolder
from softlookup.tracking.wandb_tracker import Tracker

mode, folder, history = sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3])
BEFORE
hooks = sys.exit, sys.excepthook
tracker = Tracker(mode, "softlookup")
began = time.monotonic()
message = tracker.start(folder, "additive-s1-abc", "bottleneck", ["attention=additive", "x" * 80], {"seed": 1}, history)
seconds = time.monotonic() - began
assert hooks == (sys.exit, sys.excepthook)
if not history:
    tracker.log({"train/loss": 0.5, "test/absent": None}, step=7)
ACTION
print(repr((message, tracker.messages, seconds)))
"""
FINISH = """
picture = SimpleNamespace(weights=np.eye(3), gold=np.eye(3, dtype=bool), source=["a", "b", "c"], target=["d", "e", "f"])
lengths = [{"low": 2, "high": 3, "count": 5, "token_accuracy": 0.75, "bleu_lowercased": None},
           {"low": 4, "high": 7, "count": 7, "token_accuracy": 0.5, "aer": 0.25}]
row = {"metrics": {"test/token_accuracy": 0.75}, "cost": {"cost/peak_bytes": 1009}, "by_length": lengths}
tracker.finish(row, [picture])
"""
TABLE = {
    "columns": ["low", "high", "length", "count", "token_accuracy", "bleu_lowercased", "aer"],
    "data": [[2, 3, 2.5, 5, 0.75, None, None], [4, 7, 5.5, 7, 0.5, None, 0.25]],
}
# As in run.py: first the run folder, then the mirror; MANY points make the mirror larger than its size limit.
MANY = 400
LONG = f"""
truth = RunFolder(folder)
for step in range(8, 8 + {MANY}):
    record = {{"step": step, "train/loss": step / 2, "validation/loss": step / 3}}
    truth.log(record)
    tracker.log({{k: v for k, v in record.items() if k != "step"}}, step)
    if step == 200:
        HALFWAY
truth.write_result({{"id": truth.id, "metrics": {{}}}})
tracker.finish({{"metrics": {{"test/token_accuracy": 0.75}}}})
assert [record["step"] for record in truth.records()] == list(range(8, 8 + {MANY}))
assert truth.finish()
"""
RUN = "additive-s1-abc"


def start(folder, mode="offline", action=FINISH, history=(), before="", **environment):
    home = folder.parent / f"home of {folder.name}"
    home.mkdir(exist_ok=True)
    folder.mkdir(exist_ok=True)
    script = SCRIPT.replace("BEFORE", before).replace("ACTION", action)
    return subprocess.Popen(
        [sys.executable, "-c", script, mode, str(folder), json.dumps(history)],
        env=clean_environment(home, **environment),
        cwd=folder.parent,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process):
    """Wait for a run; return the tracker's messages; assert no other output and no remaining service."""
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert services_of(process.pid) == []
    message, messages, seconds = ast.literal_eval(out)
    return message, messages, seconds


def services_of(pid):
    """Return wandb's service processes of process `pid`, which their arguments name."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().decode().split("\0")
        except OSError:
            continue
        if "wandb-core" in words[0] and str(pid) in words:
            found.append(int(path.parent.name))
    return found


def test_offline_writes_the_whole_run_and_nothing_to_the_terminal(tmp_path):
    folder = tmp_path / "run"
    assert end(start(folder))[:2] == (None, [])
    logged = inspected(folder)
    (run,) = of_kind(logged, "run")
    assert (run["run_group"], run["run_id"], run["project"]) == ("bottleneck", "additive-s1-abc", "softlookup")
    assert run["tags"] == ["attention=additive", "x" * 64]
    assert run["config"]["update"]["seed"] == 1
    (point,) = (point["item"] for point in of_kind(logged, "history"))
    assert (point["train/loss"], point["_step"]) == (0.5, 7)
    assert "test/absent" not in point
    assert point["alignments/0.caption"] == "a b c → d e f"
    summary = summary_of(logged)
    assert (summary["test/token_accuracy"], summary["cost/peak_bytes"]) == (0.75, 1009)
    assert [last["exit_code"] for last in of_kind(logged, "exit")] == [0]
    assert len(list(folder.glob("wandb/**/alignments/*.png"))) == 1
    assert run["job_type"] == "train"
    assert of_kind(logged, "stats") == []


def test_system_metrics_are_sampled_where_they_are_switched_on(tmp_path):
    folder = tmp_path / "run"
    on = "from functools import partial; Tracker = partial(Tracker, system_metrics=True)"
    assert end(start(folder, before=on))[:2] == (None, [])
    logged = inspected(folder)
    assert all("proc.memory.rssMB" in stats["item"] for stats in of_kind(logged, "stats"))
    assert of_kind(logged, "stats")
    assert [point["_step"] for point in points_of(logged)] == [7]


def test_quality_by_length_is_one_table_with_line_plots_and_curves_run_over_target_tokens(tmp_path):
    folder = tmp_path / "run"
    end(start(folder, action="tracker.log({'tokens': 1009, 'train/loss': 0.25}, 8)\n" + FINISH))
    logged = inspected(folder)
    (path,) = folder.glob("wandb/offline-run-*/files/media/table/by_length_*.json")
    table = json.loads(path.read_text())
    assert {key: table[key] for key in TABLE} == TABLE
    assert not [name for name in summary_of(logged) if name.startswith("by_length/2-3")]
    charts = {name: config for update in of_kind(logged, "config") for name, config in update["update"].items()}
    (plot,) = (name for name in charts if "visualize" in name)  # no plot of a measure that is absent
    assert plot.endswith("by_length/token_accuracy")
    fields = charts[plot]["panel_config"]["fieldSettings"]
    assert (fields["x"], fields["y"]) == ("length", "token_accuracy")
    steps = {metric.get("glob_name"): metric.get("step_metric") for metric in of_kind(logged, "metric")}
    assert steps["*"] == "tokens"
    assert not [path for path in (folder.parent / "home of run").rglob("*") if path.name == "artifacts"]


def test_a_failed_run_is_marked_failed_with_its_reason(tmp_path):
    folder = tmp_path / "run"
    assert end(start(folder, action="tracker.fail('FloatingPointError: the loss is nan')"))[:2] == (None, [])
    logged = inspected(folder)
    summary = summary_of(logged)
    assert (summary["status"], summary["reason"]) == ("failed", "FloatingPointError: the loss is nan")
    assert [last["exit_code"] for last in of_kind(logged, "exit")] == [1]


def test_online_without_a_server_continues_offline_within_ten_seconds(tmp_path):
    key = {"WANDB_API_KEY": "0" * 40}
    with socket.create_server(("127.0.0.1", 0)) as mute:  # accepts connections and never answers
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
        (run,) = folder.glob("wandb/*run-*")  # no other folder of the attempt
        assert messages == [message]
        assert "W&B is offline for this run" in message
        assert "\n" not in message
        assert message.endswith(f"upload it later with: wandb sync '{run}'")
        # The time to start wandb under the current load is measured by the case without a key.
        assert seconds < 10 + ended["no key"][2]
        assert [last["exit_code"] for last in of_kind(inspected(folder), "exit")] == [0]
    assert "wandb login" in ended["no key"][0]


def test_a_wandb_failure_during_a_run_is_reported_once_and_the_run_continues(tmp_path):
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


def history(*steps):
    return [{"step": step, "train/loss": step / 2, "test/absent": None} for step in steps]


def logging(*steps):
    """Return the code of a run that logs these steps."""
    return "".join(f"tracker.log({{'train/loss': {step / 2}}}, {step})\n" for step in steps)


def expected(*steps):
    return [{"_step": step, "train/loss": step / 2} for step in steps]


def killed(process):
    """Wait until a process is ready, then kill it."""
    assert process.stdout.readline() == "ready\n"
    process.kill()
    process.communicate(timeout=10)


WAIT = "print('ready', flush=True); time.sleep(60)"
END = "tracker.finish({'status': 'finished', 'metrics': {'test/token_accuracy': 0.75}})"


def test_a_killed_and_resumed_run_is_one_file_with_every_point_once(tmp_path):
    folder = tmp_path / "run"
    killed(start(folder, action=logging(8, 9) + WAIT))
    killed(start(folder, action=logging(9, 10) + WAIT, history=history(7, 8)))
    assert end(start(folder, action=logging(9, 10, 11) + END, history=history(7, 8)))[:2] == (None, [])
    logged = inspected(folder)  # asserts that there is one folder
    assert points_of(logged) == expected(7, 8, 9, 10, 11)
    assert summary_of(logged)["test/token_accuracy"] == 0.75


def test_an_offline_run_is_uploaded_once_and_completely(tmp_path):
    folder = tmp_path / "run"
    end(start(folder, action=logging(8, 9) + FINISH))
    (log,) = wandb_files.logs(folder)
    with serving() as server:
        sync(server, tmp_path, log.parent)
        assert wandb_files.uploaded(log)
        assert "Skipped 1 synced" in sync(server, tmp_path, log.parent)
        run = server.runs[RUN]
        assert [(point["_step"], point["train/loss"]) for point in run.points] == [(7, 0.5), (8, 4), (9, 4.5)]
        assert server.lines == 3
        assert run.summary.items() >= {"test/token_accuracy": 0.75, "cost/peak_bytes": 1009}.items()
        assert any(name.startswith("media/images/alignments/0") for name in run.uploads)
        (table,) = (json.loads(file) for name, file in run.uploads.items() if name.startswith("media/table/by_length"))
        assert (table["columns"], table["data"]) == (TABLE["columns"], TABLE["data"])
        assert (run.about["groupName"], run.exit_code) == ("bottleneck", 0)


def test_online_sends_every_point_and_the_summary(tmp_path):
    folder = tmp_path / "run"
    with serving() as server:
        assert end(start(folder, "online", logging(8, 9) + FINISH, **server.environment))[:2] == (None, [])
        run = server.runs[RUN]
        assert [(point["_step"], point["train/loss"]) for point in run.points] == [(7, 0.5), (8, 4), (9, 4.5)]
        assert run.summary.items() >= {"test/token_accuracy": 0.75, "cost/peak_bytes": 1009}.items()
        assert (run.about["groupName"], run.exit_code) == ("bottleneck", 0)
    assert all(map(wandb_files.uploaded, wandb_files.logs(folder)))


def test_a_resumed_online_run_sends_no_step_twice(tmp_path):
    folder = tmp_path / "run"
    with serving() as server:
        first = start(folder, "online", logging(8, 9) + "tracker.fail('Stopped: SIGTERM')", **server.environment)
        assert end(first)[1] == []
        assert server.runs[RUN].steps == [7, 8, 9]
        second = start(folder, "online", logging(9, 10, 11) + END, history(7, 8), **server.environment)
        assert end(second)[1] == []
        run = server.runs[RUN]
        assert (run.steps, server.lines, run.exit_code) == ([7, 8, 9, 10, 11], 5, 0)
        assert run.summary["status"] == "finished"
        assert run.summary.get("reason") is None
    assert len(wandb_files.logs(folder)) == 1


def test_a_server_that_stops_costs_only_a_bounded_wait(tmp_path):
    patience = 4
    shorter = f"tracking.UPLOAD = {patience}.0"
    timed = (
        "print('ready', flush=True); input(); began = time.monotonic()\n" + LONG + "seconds = time.monotonic() - began"
    )
    with serving() as silent, serving() as gone, serving() as later:
        servers = {"silent": silent, "gone": gone}
        started = {
            name: start(
                tmp_path / name, "online", timed.replace("HALFWAY", "pass"), before=shorter, **server.environment
            )
            for name, server in servers.items()
        }
        for process in started.values():
            assert process.stdout.readline() == "ready\n"
        silent.answers.clear()
        gone.shutdown()
        gone.server_close()
        for process in started.values():
            process.stdin.write("\n")
            process.stdin.flush()
        for name, process in started.items():
            message, messages, seconds = end(process)
            assert message is None
            assert seconds < patience + 5
            assert UPLOAD + 5 <= 35
            (line,) = messages
            assert line.endswith(
                f'make resync ARGS="runs_dir={tmp_path.parent} experiment={tmp_path.name} mode=online"'
            )
            assert "\n" not in line
            # W&B's own file is complete.
            (log,) = wandb_files.logs(tmp_path / name)
            assert not wandb_files.uploaded(log)
            sync(later, tmp_path, "--no-skip-online", log.parent)
            assert later.runs.pop(RUN).steps == list(range(7, 8 + MANY))


@contextlib.contextmanager
def small_disk(folder, options):
    """Mount a small tmpfs at `folder`; skip the test without root."""
    folder.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False, stderr=subprocess.PIPE, text=True
    )
    if done.returncode:
        pytest.skip(f"mounting a small disk takes root: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", folder], check=True)


def test_a_lost_mirror_is_reported_in_one_line_and_the_run_folder_is_complete(tmp_path):
    halfway = LONG.replace("HALFWAY", "shutil.rmtree(folder / 'wandb')")
    whole = LONG.replace("HALFWAY", "pass")
    limit = "resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000))"
    with small_disk(tmp_path / "full" / "wandb", "size=60k"), small_disk(tmp_path / "read only" / "wandb", "ro"):
        started = {
            "full": start(tmp_path / "full", action=whole),
            "limit": start(tmp_path / "limit", action=whole, before=limit),
            "deleted": start(tmp_path / "deleted", action=halfway),
            "read only": start(tmp_path / "read only", action=whole),
            "undisturbed": start(tmp_path / "undisturbed", action=whole),
        }
        messages_by_case = {name: end(process)[1] for name, process in started.items()}
        assert messages_by_case.pop("undisturbed") == []
        for name, messages in messages_by_case.items():
            (line,) = messages
            assert "are not complete" in line or (name == "read only" and "tracking ended (start: OSError" in line)
            assert line.endswith(f'make resync ARGS="runs_dir={tmp_path.parent} experiment={tmp_path.name}"')
            assert "\n" not in line


def test_empty_environment_variables_are_ignored(tmp_path):
    nothing = {"WANDB_MODE": "", "WANDB_RESUME": "", "WANDB_CONSOLE": ""}
    assert end(start(tmp_path / "run", **nothing))[:2] == (None, [])
    assert [point["train/loss"] for point in points_of(inspected(tmp_path / "run"))] == [0.5]


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


def _in_a_fork(folder, sender):
    tracker = Tracker("offline", "softlookup")
    tracker.start(folder, "additive-s1-abc", "bottleneck", [], {})
    tracker.log({"train/loss": 0.5}, step=7)
    tracker.finish({"metrics": {"test/token_accuracy": 0.75}})
    sender.send(tracker.messages)


def test_tracking_works_in_a_process_forked_from_a_server_that_imported_wandb(tmp_path):
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["softlookup.tracking.wandb_tracker", "wandb"])
    listen, sender = context.Pipe(duplex=False)
    process = context.Process(target=_in_a_fork, args=(tmp_path, sender))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert listen.recv() == []
    assert [point["item"]["train/loss"] for point in of_kind(inspected(tmp_path), "history")] == [0.5]
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


def test_an_unknown_mode_is_rejected():
    with pytest.raises(UserError, match=r"tracking.mode=ofline: did you mean offline"):
        Tracker("ofline", "softlookup")


@pytest.mark.parametrize("mode", ["offline", "online", "disabled"])
def test_each_choice_builds_a_tracker(mode):
    path = Path(__file__).parents[1] / "conf" / "tracking" / f"{mode}.yaml"
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert content.pop("_target_") == "softlookup.tracking.wandb_tracker.Tracker"
    assert Tracker(**content).mode == mode


def test_the_summary_has_what_is_compared_and_no_figure_by_length():
    row = {
        "id": "x",
        "status": "finished",
        "seed": 3,
        "choices": {"task": "copy"},
        "metrics": {"test/token_accuracy": 0.5, "test/bleu": None},
        "by_length": [{"low": 1, "high": 3, "count": 2, "bleu": None}, {"low": 4, "high": 7, "count": 5}],
        "ranges": [{"range": "beyond", "low": 4, "high": 7, "count": 5, "token_accuracy": 0.25, "aer": 0.5}],
        "cost": {"cost/peak_bytes": 7},
        "settings": {"optimizer.rate": 0.1},
        "provenance": {"versions": {"torch": "2"}},
        "lengths": [{"length": 3, "step": 0}],
    }
    assert summary(row) == {
        "id": "x",
        "status": "finished",
        "seed": 3,
        "choices/task": "copy",
        "test/token_accuracy": 0.5,
        "test/beyond/token_accuracy": 0.25,
        "cost/peak_bytes": 7,
    }
