"""The lock of a folder: exclusive, and released when its holder dies."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from softlookup.errors import UserError
from softlookup.system.lock import NAME, hold, holder

HOLDS = """
import sys, time
from pathlib import Path
from softlookup.system.lock import hold
with hold(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def holding(folder: Path) -> subprocess.Popen:
    process = subprocess.Popen([sys.executable, "-c", HOLDS, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_holder_gets_the_name_of_the_first_and_a_kill_releases_the_lock(tmp_path: Path) -> None:
    process = holding(tmp_path / "a")
    message = rf"a is in use by process {process.pid} on {os.uname().nodename} since \d{{4}}-.*experiment_name=NAME"
    with pytest.raises(UserError, match=message), hold(tmp_path / "a"):
        pass
    assert holder(tmp_path / "a").startswith(f"process {process.pid} on ")
    with hold(tmp_path / "b"):  # the lock of another experiment is independent
        assert holder(tmp_path / "b") is not None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert holder(tmp_path / "a") is None
    with hold(tmp_path / "a"):
        assert holder(tmp_path / "a").startswith(f"process {os.getpid()} on ")


def test_reading_the_holder_never_blocks_the_lock(tmp_path: Path) -> None:
    with hold(tmp_path):
        pass
    ended = threading.Event()

    def poll() -> None:
        while not ended.is_set():
            holder(tmp_path)

    pollers = [threading.Thread(target=poll) for _ in range(3)]
    for poller in pollers:
        poller.start()
    try:
        for _ in range(200):
            with hold(tmp_path):
                pass
    finally:
        ended.set()
        for poller in pollers:
            poller.join()


@pytest.mark.parametrize("content", ["", "garbage", "[1]", '{"pid": 3}'])
def test_a_lock_file_that_cannot_be_read_still_locks(tmp_path: Path, content: str) -> None:
    process = holding(tmp_path)
    (tmp_path / NAME).write_text(content)
    assert holder(tmp_path) == "another process"
    process.kill()
    process.communicate()
    assert holder(tmp_path) is None


def test_a_missing_folder_has_no_holder(tmp_path: Path) -> None:
    assert holder(tmp_path / "none") is None
