"""Short form of `make torture`."""

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("torture.py")


def test_a_sweep_under_kill_9_gives_the_same_tables(tmp_path: Path) -> None:
    command = [sys.executable, str(PROGRAM), "kills=1", "runs=4", "budget=2000", f"keep={tmp_path / 'kept'}"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kills        1" in done.stdout
    assert "differences  0" in done.stdout
