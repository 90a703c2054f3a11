"""One at a time in a folder, and the dead let go."""

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


def test_a_second_taker_is_told_who_holds_it_and_a_killed_holder_lets_go(tmp_path: Path) -> None:
    process = holding(tmp_path / "a")
    told = rf"a is in use by process {process.pid} on {os.uname().nodename} since \d{{4}}-.*experiment_name=NAME"
    with pytest.raises(UserError, match=told), hold(tmp_path / "a"):
        pass
    assert holder(tmp_path / "a").startswith(f"process {process.pid} on ")
    with hold(tmp_path / "b"):  # another experiment is not in the way
        assert holder(tmp_path / "b") is not None
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert holder(tmp_path / "a") is None
    with hold(tmp_path / "a"):
        assert holder(tmp_path / "a").startswith(f"process {os.getpid()} on ")


def test_whoever_only_looks_is_never_in_the_way(tmp_path: Path) -> None:
    with hold(tmp_path):
        pass
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            holder(tmp_path)

    lookers = [threading.Thread(target=look) for _ in range(3)]
    for looker in lookers:
        looker.start()
    try:
        for _ in range(200):
            with hold(tmp_path):
                pass
    finally:
        ended.set()
        for looker in lookers:
            looker.join()


@pytest.mark.parametrize("content", ["", "garbage", "[1]", '{"pid": 3}'])
def test_a_lock_file_that_cannot_be_read_still_locks(tmp_path: Path, content: str) -> None:
    process = holding(tmp_path)
    (tmp_path / NAME).write_text(content)
    assert holder(tmp_path) == "another process"
    process.kill()
    process.communicate()
    assert holder(tmp_path) is None


def test_a_folder_that_is_not_there_is_held_by_nobody(tmp_path: Path) -> None:
    assert holder(tmp_path / "none") is None
