"""The fake jobs, with an import that blocks until the file $HELD_UNTIL exists, so that a test can act meanwhile."""

import os
import time
from pathlib import Path

import fake_jobs

deadline = time.monotonic() + 60  # no process remains after an aborted test
while not Path(os.environ["HELD_UNTIL"]).exists() and time.monotonic() < deadline:
    time.sleep(0.01)

act = fake_jobs.act
