"""Skip the Slurm tests unless `make test-slurm` runs them: a cluster takes minutes and needs the whole machine."""

import os

collect_ignore = [] if os.environ.get("TEST_SLURM") else ["test_sweep.py"]
