"""The benchmark against other toolkits, without them: the workload, our cells, the floor, the table, and errors."""

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console

import bench_peers
from peers import matrix_products, process, report, workload
from softlookup.errors import UserError

TINY = {
    "sources": 29, "targets": 23, "steps": 3, "beam": 2, "rate": 1e-3, "clip": 1.0,
    "rnn": {"embedding": 5, "encoder": 7, "decoder": 11, "dropout": 0.3},
    "transformer": {"model": 14, "feed_forward": 13, "heads": 2, "blocks": 2, "dropout": 0.1},
}  # fmt: skip


def test_our_cells_count_every_token_and_are_in_the_table_and_the_file(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setattr(workload, "SIZES", TINY)
    monkeypatch.setattr(workload, "BATCH", 3)
    monkeypatch.delenv("MULTI30K_DIR", raising=False)
    output = tmp_path / "new" / "bench.json"
    bench_peers.main(["systems=softlookup", "rounds=1", "batches=2", "threads=1", f"output={output}"])
    printed = capsys.readouterr().out
    held = json.loads(output.read_text())
    # Cells in bf16 are timed only by a processor that has instructions for it.
    assert [cell for cell in bench_peers.CELLS if "bf16" not in cell or cell in held["cells"]] == list(held["cells"])
    for cell, row in held["cells"].items():
        assert cell.split()[-1] in printed
        assert row["tokens_per_second"]["softlookup"][0] > 0
        assert ("floor" in row) == cell.endswith("training")
    assert "medians of 1 rounds" in printed
    assert "3 forced steps, beam 2, float32, CPU, 1 threads" in printed


def test_the_workload_is_reproducible_and_padded_to_its_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MULTI30K_DIR", raising=False)
    (work, _), (again, _) = workload.prepared(2, 1), workload.prepared(2, 1)
    assert work == again
    for batch in [*work["batches"]["training"], *work["batches"]["decoding"]]:
        source, target, lengths = (np.array(batch[name]) for name in ("source", "target", "lengths"))
        assert source.shape == (64, lengths.max())
        assert ((source > 0).sum(1) == lengths).all()
        assert 3 <= lengths.min() <= lengths.max() <= 46
        assert ((target > 0).sum(1) > 0).all()
    shares = {kind: workload.padding(batches) for kind, batches in work["batches"].items()}
    assert shares["training"]["target"] < 0.1 < shares["decoding"]["target"]  # sorted by length, and not
    pair = {"source": [[4, 5, 0], [4, 0, 0]], "target": [[4, 0]]}
    assert workload.padding([pair]) == {"source": 0.5, "target": 0.5}


def test_the_products_of_a_step_are_counted_forward_and_backward() -> None:
    """x (5, 3) times W (3, 7): the forward product and the gradient of W take 2 · 5 · 3 · 7 operations each."""
    weight, given = torch.randn(3, 7, requires_grad=True), torch.randn(5, 3)
    found = matrix_products.alone([lambda: (given @ weight).sum().backward()] * 2)
    assert found["flops"] == 2 * 2 * (2 * 5 * 3 * 7)
    assert found["wall"] > 0
    assert found["processor"] > 0


FOUND: report.Speeds = {
    "rnn training": {
        "softlookup": [30.0, 90.0, 60.0],
        "JoeyNMT": [20.0, 10.0, 40.0],
        "OpenNMT-py": [40.0, 30.0, 20.0],
        "CTranslate2": [60.0, 60.0, 60.0],
    },
    "rnn (luong) training": {"softlookup": [15.0, 9.0, 16.0]},
}


def test_ratios_are_taken_by_round_to_the_best_python_system() -> None:
    work = {"batches": {"training": [{"target": [[4, 5, 0], [4, 0, 0]]}]}}
    floors = {"rnn training": {"wall": 0.02, "processor": 0.03, "flops": 4e6}}
    cells = report.summary(FOUND, floors, work, "wall")
    assert cells["rnn training"]["ratio_to_best_peer"] == [0.75, 3.0, 1.5]
    assert cells["rnn training"]["ratio_to_CTranslate2"] == [0.5, 1.5, 1.0]
    assert cells["rnn (luong) training"]["ratio_to_best_peer"] == [0.375, 0.3, 0.4]
    # Three tokens at 60 a second take 0.05 s, of which the products take 0.02 s.
    assert cells["rnn training"]["floor"]["share"] == pytest.approx(0.4)
    assert cells["rnn training"]["floor"]["rate"] == pytest.approx(2e8)
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(report.table(cells, list(bench_peers.SYSTEMS)))
    rows = [line.split() for line in console.export_text().splitlines()]
    assert " ".join(rows[1]) == "rnn training 60 20 30 60 1.50 (0.75–3.00) 1.00 (0.50–1.50) 40% at 0 GFLOP/s"
    assert "0.38 (0.30–0.40)" in " ".join(rows[2])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("rounds=0", "rounds=0: expected a whole number from 1 to 999"),
        ("threads=two", "threads=two: expected a whole number"),
        ("clock=sun", "clock=sun: expected wall or processor"),
        ("cells=trainig", "cells=trainig: no cell has trainig in its name; valid: rnn training"),
        ("systems=softlookup,fairseq", "there is no fairseq; valid:"),
        ("systems=JoeyNMT peers=/nowhere", "is not installed; make bench-peers installs it"),
        ("round=3", "expected KEY=VALUE; did you mean rounds?"),
    ],
)
def test_a_mistake_is_reported_in_one_line(words: str, message: str) -> None:
    with pytest.raises(UserError) as caught:
        bench_peers.main(words.split())
    assert message in str(caught.value)


def test_a_system_that_is_not_installed_is_left_out_and_named(tmp_path: Path) -> None:
    found, missing = bench_peers.installed(None, tmp_path)
    assert list(found) == ["softlookup"]
    assert missing == ["JoeyNMT", "OpenNMT-py", "Eole", "CTranslate2"]


def test_models_of_other_sizes_are_refused() -> None:
    ours, other = (
        SimpleNamespace(name=name, parameters={"rnn": n}) for name, n in (("softlookup", 1000), ("Eole", 1021))
    )
    with pytest.raises(UserError, match="Eole, rnn: 1,021 parameters, our rnn has 1,000"):
        bench_peers.require_equal_sizes([ours, other])


def test_a_system_that_fails_is_reported_with_its_reason(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('no module named joeynmt')")
    with pytest.raises(UserError, match="JoeyNMT ended: no module named joeynmt"):
        process.System("JoeyNMT", str(broken), Path(sys.executable), {"threads": 1})
