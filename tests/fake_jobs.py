"""Fake jobs that replace `softlookup.run:execute`; the seed selects how a job ends."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from configs import of_parts

from softlookup.errors import UserError
from softlookup.system.content_cache import SHARED
from softlookup.system.memory import limited

DONE, RAISES, MISTAKE, KILLED, EXITS, DIVERGES, CRASHES, SLEEPS, STUBBORN, GREEDY, GROWS, VANISHES, FILLS = range(1, 14)
LATER = "now.txt"  # if this file exists next to its folder, every job finishes normally


def config(runs_dir, seed, parts=(), **settings):
    """Return the part of a resolved config that a sweep reads."""
    own = {"budget": 1000, "runs_dir": str(runs_dir), "experiment_name": "tried", "workers": 2}
    return of_parts(dict(parts), seed=seed, **own | settings)


def act(config, folder, stop):  # noqa: ARG001, PLR0912
    """Write pid.txt, print, and end as the seed selects."""
    seed = config.settings.seed
    (folder.path / "pid.txt").write_text(str(os.getpid()))
    (folder.path / "gpus.txt").write_text(os.environ.get("CUDA_VISIBLE_DEVICES", "unset"))
    shared = folder.path.parent / SHARED
    (folder.path / "shared.txt").write_text(str([path.name for path in shared.iterdir()] if shared.exists() else None))
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
    if seed == GREEDY:
        with limited(config.settings.memory):
            bytearray(20 * config.settings.memory * 1_000_000)
    if seed == GROWS:  # in its own control group, until the kernel kills it
        Path(config.parts["group"]["path"], "cgroup.procs").write_text(str(os.getpid()))
        held = []
        while True:
            held.append(b"x" * 10_000_000)
            time.sleep(0.2)  # so that the launcher measures the growth
    if seed == FILLS:
        with suppress(OSError), (folder.path.parent / "ballast").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1000))
        while True:
            folder.log({"step": 2, "tokens": 900})
    if seed == VANISHES:
        shutil.rmtree(folder.path)
        folder.log({"step": 2, "tokens": 900})
    if seed in (SLEEPS, STUBBORN):
        time.sleep(60)
    folder.write_result(
        {"id": folder.id, "status": "finished", "choices": dict(config.choices), "seed": config.settings.seed}
    )
