"""Run tests/test_cuda.py on the device, and summarize what it compared."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from softlookup.timing.gpu.sections import Job, environment, python

ROOT = Path(__file__).parents[4]
_WORKERS = 8
_REPORTING = 15.0  # seconds that pytest gets to write its report when time is up


def measure(job: Job) -> Iterator[dict[str, Any]]:
    """Yield the numbers of tests by outcome and of combinations compared, and the worst errors."""
    workers = min(_WORKERS, os.cpu_count() or 1)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        # Warnings of other versions of the packages are no failures here.
        command = [*python(), "-m", "pytest", "tests/test_cuda.py", "-W", "ignore", "-p", "no:cacheprovider",
                   "--tb=short", f"--junitxml={report}", "-n", str(workers), "--dist", "worksteal"]  # fmt: skip
        if job.small:
            command += ["-k", "small or bahdanau-gru"]
        variables = {"TEST_DEVICE": job.device, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        with (Path(folder) / "output").open("w+", encoding="utf-8") as output:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environment(variables), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
            try:
                process.wait(max(1.0, job.seconds - _REPORTING))
            except subprocess.TimeoutExpired:  # it writes its report when it is interrupted
                process.send_signal(signal.SIGINT)
                process.wait()
            output.seek(0)
            lines = output.read().splitlines()
        found = summary(report) if report.exists() else {}
        yield {**found, "code": process.returncode, "output": lines[-80:]}


def summary(report: Path) -> dict[str, Any]:
    """Summarize a JUnit report; its tests record `combinations`, and as `worst …` the greatest error of a kind."""
    outcomes = {"passed": 0, "failed": 0, "skipped": 0}
    failures: dict[str, str] = {}
    combinations = 0
    worst: dict[str, float] = {}
    slowest = 0.0
    for case in ElementTree.parse(report).iter("testcase"):
        bad = [child for child in case if child.tag in ("failure", "error")]
        outcome = "failed" if bad else "skipped" if case.find("skipped") is not None else "passed"
        outcomes[outcome] += 1
        slowest = max(slowest, float(case.get("time", 0)))
        if bad:
            failures[str(case.get("name"))] = str(bad[0].get("message"))[:400]
        for each in case.iter("property"):
            name, value = str(each.get("name")), str(each.get("value"))
            if name == "combinations":
                combinations += int(value)
            elif name not in worst or float(value) > worst[name]:
                worst[name] = float(value)
    return {**outcomes, "combinations": combinations, **worst, "slowest_seconds": slowest, "failures": failures}
