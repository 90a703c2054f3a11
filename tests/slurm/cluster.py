"""A one-node Slurm cluster on loopback, started from Debian's packages and stopped at the end."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "squeue")
CORES = 2
# cred_expire: the wait of a requeued job. KillWait: seconds between SIGTERM and SIGKILL.
CONF = """
ClusterName=softlookup
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0
ReturnToService=2
JobRequeue=1
KillWait=15
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def why_not() -> str | None:
    """Install missing packages; return why no cluster can be started, or None if one can."""
    if os.geteuid() != 0:
        return "Slurm's daemons are started as root, and this user is not"
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing and shutil.which("apt-get") is None:
        return f"no {', '.join(missing)} here, and no apt-get to install slurm-wlm and munge"
    if missing:
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for command in (["update"], ["install", "--yes", "--no-install-recommends", "slurm-wlm", "munge"]):
            done = subprocess.run(["apt-get", *command], env=environment, capture_output=True, text=True, check=False)
        missing = [program for program in PROGRAMS if shutil.which(program) is None]
        if missing:
            return f"apt-get could not install slurm-wlm and munge: {' '.join(done.stderr.split())[-300:]}"
    return None


@contextmanager
def running(folder: Path) -> Iterator[dict[str, str]]:
    """Start a cluster and wait until its node is idle; yields the environment for Slurm's commands."""
    host = socket.gethostname().split(".")[0]
    for name in ("state", "spool"):
        (folder / name).mkdir()
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o600)
    conf = folder / "slurm.conf"
    conf.write_text(CONF.format(host=host, folder=folder, cores=CORES, controller=_free_port(), node=_free_port()))
    environment = {**os.environ, "SLURM_CONF": str(conf)}
    munge = [f"--{name}={folder}/munge{end}" for name, end in MUNGE.items()]
    with ExitStack() as started:
        for command in (["munged", "--foreground", "--force", *munge], ["slurmctld", "-D", "-i"], ["slurmd", "-D"]):
            started.enter_context(_daemon(command, environment, folder))
        _wait_for_idle(environment, folder)
        started.callback(_end_all_jobs, environment)
        yield environment


MUNGE = {"key-file": ".key", "socket": ".socket", "pid-file": ".pid", "log-file": ".log", "seed-file": ".seed"}


@contextmanager
def _daemon(command: list[str], environment: dict[str, str], folder: Path) -> Iterator[None]:
    with (folder / f"{command[0]}.out").open("wb") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
        try:
            time.sleep(0.5)  # each needs the previous one; slurmctld and slurmd also retry by themselves
            yield
        finally:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for_idle(environment: dict[str, str], folder: Path) -> None:
    deadline = time.monotonic() + 60
    output = ""
    while "idle" not in output:
        if time.monotonic() > deadline:
            logs = "\n".join(path.read_text()[-1000:] for path in sorted(folder.glob("*.out")))
            raise RuntimeError(f"the node is not idle after a minute: {output}\n{logs}")
        time.sleep(0.5)
        sinfo = subprocess.run(
            ["sinfo", "--noheader", "--format=%T"], env=environment, capture_output=True, text=True, check=False
        )
        output = sinfo.stdout + sinfo.stderr


def _end_all_jobs(environment: dict[str, str]) -> None:
    """Cancel all jobs: they would outlive the daemons."""
    subprocess.run(["scancel", "--state=PENDING", "--user=root"], env=environment, check=False)
    subprocess.run(["scancel", "--signal=KILL", "--user=root"], env=environment, check=False)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        left = subprocess.run(["squeue", "--noheader"], env=environment, capture_output=True, text=True, check=False)
        if not left.stdout.strip():
            return
        time.sleep(0.5)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
