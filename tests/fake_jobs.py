"""Jobs that end in every way a run can end; the seed says in which. They stand in for `softlookup.run:execute`."""

import os
import signal
import subprocess
import sys
import time

from softlookup.errors import UserError

DONE, RAISES, MISTAKE, KILLED, EXITS, DIVERGES, CRASHES, SLEEPS, STUBBORN = 1, 2, 3, 4, 5, 6, 7, 8, 9
LATER = "now.txt"  # a job of these that finds this file beside its folder finishes instead


def config(runs_dir, seed, **changes):
    """As much of a resolved config as a sweep looks at."""
    choices = {"task": "reverse", "encoder": "gru", "attention": "additive"}
    return {
        "seed": seed, "budget": 1000, "choices": choices, "runs_dir": str(runs_dir), "experiment_name": "tried",
        "workers": 2, "threads": 1, **changes,
    }  # fmt: skip


def act(config, folder, stop):  # noqa: ARG001
    """Write pid.txt, print, then do what the seed says."""
    seed = config["seed"]
    (folder.path / "pid.txt").write_text(str(os.getpid()))
    print(f"python says {seed}")
    os.write(2, f"the file descriptor says {seed}\n".encode())
    folder.log({"step": 1, "tokens": 500, "train/loss": 1.5})
    if (folder.path.parent / LATER).exists():
        seed = DONE
    if seed == RAISES:
        raise ValueError("two\nlines")
    if seed == MISTAKE:
        raise UserError("heads=3 does not divide 128")
    if seed == KILLED:
        os.kill(os.getpid(), signal.SIGKILL)
    if seed == EXITS:
        sys.exit(0)
    if seed == DIVERGES:
        raise FloatingPointError("the loss is nan at step 7")
    if seed == CRASHES:
        os._exit(3)
    if seed == STUBBORN:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        child = subprocess.Popen(["sleep", "60"])
        (folder.path / "child.txt").write_text(str(child.pid))
    if seed in (SLEEPS, STUBBORN):
        time.sleep(60)
    folder.write_result({"id": folder.id, "status": "finished", "choices": config["choices"], "seed": config["seed"]})
