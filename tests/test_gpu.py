"""The GPU report without a GPU: sections, time limits, table and file; arithmetic of a device; missing packages."""

import builtins
import io
import json
import sys
from pathlib import Path

import pytest
import torch
from rich.console import Console

from softlookup.config.build import device_of
from softlookup.config.components import located
from softlookup.errors import UserError, needed_by
from softlookup.runs import provenance
from softlookup.timing.gpu.correctness import summary
from softlookup.timing.gpu.profiled import covered
from softlookup.timing.gpu.report import table
from softlookup.timing.gpu.sections import Job, Section, run, shares, write
from softlookup.timing.gpu.throughput import few

STEP = {"median": 0.02, "q1": 0.01, "q3": 0.03, "rounds": 7}
# As a run with a GPU would record it, with one section of each ending.
RESULTS = {
    "machine": {"card": "H100", "card_bytes": 8e10, "driver": "580", "torch": "2.11.0", "cuda": "13.0", "cudnn": 91000,
                "machine": {"model": "EPYC", "cores": 16}, "missing": ["wandb", "datasets"]},
    "tests": {"passed": 71, "failed": 1, "skipped": 2, "combinations": 997, "worst logits": 3e-6,
              "failures": {"test_x": "boom"}, "output": []},
    "throughput": {"models": {"RNNsearch": {
                       "tokens": 4000, "seconds": {"float32": STEP, "processor": STEP | {"median": 0.5}},
                       "synchronizations": 7, "launches": 8123, "busy_share": 0.31}},
                   "left_out": {"RNNsearch bf16": "RuntimeError: no"}},
    "memory": {"RNNsearch": {"peak_bytes": 97_000_000, "cuda_max_memory_allocated": 100_000_000}},
    "sweep": {"runs": 8, "workers=2": {"seconds": 31.0, "finished": 8}},
    "kernel": {"shape": "B 8", "left_out": {"compiled naive": "TritonMissing: no"},
               "ways": {"naive": {"seconds": STEP, "cuda_max_memory_allocated": 3_217_000_000}, "lean": {}}},
}  # fmt: skip


def test_the_table_shows_what_was_found_and_how_a_section_ended() -> None:
    results = {name: {"state": "finished", "seconds": 1.0, "found": found} for name, found in RESULTS.items()}
    results["sweep"]["state"] = "stopped after 90 s"
    console = Console(width=150, record=True, file=io.StringIO())
    console.print(table(json.loads(json.dumps(results))))
    text = console.export_text()
    for shown in (
        "H100, 80 GB, driver 580", "skipped: wandb, datasets", "71 passed, 1 failed", "997", "3.0e-06", "boom",
        "float32 200,000 (25.0×)", "processor 8,000 (1.0×)", "busy 31%, 8,123 launches, 7 synchronizations",
        "RuntimeError: no", "ratio 0.970", "stopped after 90 s", "31.0 s, 8 of 8 finished", "3,217 MB allocated",
    ):  # fmt: skip
        assert shown in text
    assert "equal rows" not in text  # not measured


def program(text: str) -> list[str]:
    return [sys.executable, "-S", "-c", text]


def test_a_section_is_reported_however_it_ends_with_what_it_had_found(tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    half = f"open({str(file)!r}, 'w').write('{{\"half\": 1}}');"
    finished = run(program(half), file, 20)
    assert (finished["state"], finished["found"]) == ("finished", {"half": 1})
    failed = run(program("raise SystemExit('no device')"), tmp_path / "two.json", 20)
    assert (failed["state"], failed["found"]) == ("failed (exit code 1): no device", {})
    hangs = run(program(half + "import time; time.sleep(60)"), file, 0.5)
    assert hangs["state"].startswith("stopped after")
    assert hangs["seconds"] < 20
    assert hangs["found"] == {"half": 1}


def test_time_that_a_section_leaves_goes_to_the_later_ones() -> None:
    sections = [Section("a", "", 30), Section("b", "", 10), Section("c", "", 20)]
    assert shares(sections, 120) == 60
    assert shares(sections[1:], 120) == 40
    assert shares(sections[2:], 5) == 5


def test_a_section_writes_after_every_part(tmp_path: Path) -> None:
    def measure(job):
        yield {"seconds": job.seconds}
        raise RuntimeError("in the second part")

    with pytest.raises(RuntimeError):
        write(measure, Job("cpu", 7), tmp_path / "x.json")
    assert json.loads((tmp_path / "x.json").read_text()) == {"seconds": 7}


def test_a_report_of_pytest_is_summed_up(tmp_path: Path) -> None:
    (tmp_path / "r.xml").write_text(
        '<testsuites><testsuite><testcase name="a" time="2.5"><properties><property name="combinations" value="5"/>'
        '<property name="worst logits" value="1e-06"/></properties></testcase><testcase name="b" time="1"><properties>'
        '<property name="combinations" value="2"/><property name="worst logits" value="3e-06"/></properties>'
        '<failure message="too far"/></testcase><testcase name="c"><skipped/></testcase></testsuite></testsuites>'
    )
    assert summary(tmp_path / "r.xml") == {
        "passed": 1, "failed": 1, "skipped": 1, "combinations": 7, "worst logits": 3e-6, "slowest_seconds": 2.5,
        "failures": {"b": "too far"},
    }  # fmt: skip


def test_slow_steps_on_the_processor_are_few() -> None:
    assert len(few(lambda: None, 0.0)) == 2
    assert len(few(lambda: None, 20.0)) == 7


def test_overlapping_kernels_are_busy_time_once() -> None:
    assert covered([(0, 5), (3, 7), (4, 6), (11, 13)]) == 7 + 2
    assert covered([]) == 0


def test_picking_a_device_makes_float32_mean_float32() -> None:
    torch.backends.cudnn.allow_tf32 = True
    assert device_of("cpu") == torch.device("cpu")
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.get_deterministic_debug_mode() == 0


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    ordinary = builtins.__import__

    def without(name, *rest, **named):
        if name.startswith("entmax"):
            raise ModuleNotFoundError(name=name)
        return ordinary(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.delitem(sys.modules, "softlookup.normalizer.sparsemax", raising=False)
    with pytest.raises(UserError, match=r"sparsemax\.Sparsemax needs the package entmax, .*pip install entmax"):
        located("normalizer", "softlookup.normalizer.sparsemax.Sparsemax", "normalizer")
    with pytest.raises(ModuleNotFoundError), needed_by("x"):  # a mistake in the project's own code
        raise ModuleNotFoundError(name="softlookup.nowhere")


def test_provenance_needs_no_installed_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(package):
        raise provenance.PackageNotFoundError(package)

    monkeypatch.setattr(provenance, "version", absent)
    found = provenance.collect()
    assert (found["softlookup"], found["versions"]) == (None, {})


def test_the_program_runs_the_sections_and_writes_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(Path(provenance.__file__).parents[2]))
    import gpu

    output = tmp_path / "gpu.json"
    gpu.main(["sections=kernel", "device=cpu", "minutes=2", f"output={output}"])
    assert "additive attention" in capsys.readouterr().out
    ways = json.loads(output.read_text())["sections"]["kernel"]["found"]["ways"]
    assert all(way["seconds"]["median"] > 0 for way in ways.values())
    assert ways.keys() == {"naive", "tiles", "C"}
    for wrong, told in (
        ("sections=kernle", "did you mean kernel"),
        ("device=tpu", "expected cuda"),
        ("minutes=1", "from 2"),
        *([] if torch.cuda.is_available() else [("device=cuda", "torch sees no GPU on this machine; device=cpu")]),
    ):
        with pytest.raises(UserError, match=told):
            gpu.main([wrong])
