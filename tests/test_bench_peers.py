"""The benchmark against other toolkits, without them: the workload, our cells, the table, and errors."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

import bench_peers
from softlookup.errors import UserError

TINY = {
    "sources": 29, "targets": 23, "steps": 3, "beam": 2,
    "rnn": {"embedding": 5, "encoder": 7, "decoder": 11},
    "transformer": {"model": 14, "feed_forward": 13, "heads": 2, "blocks": 2},
}  # fmt: skip


def test_our_cells_run_all_steps_and_are_in_the_table(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench_peers, "SIZES", TINY)
    monkeypatch.setattr(bench_peers, "BATCH", 3)
    monkeypatch.delenv("MULTI30K_DIR", raising=False)
    bench_peers.main(["systems=softlookup", "rounds=1", "batches=2", "threads=1"])
    printed = capsys.readouterr().out
    assert all(cell in printed for cell in bench_peers.CELLS)
    assert "sentences a second: medians of 1 rounds (lowest to highest), 2 × 3 sentences a round" in printed
    assert "drawn from N(13.2, 4.1²), 6 to 36" in printed
    assert "3 forced steps, beam 2, float32, CPU, 1 threads" in printed


def test_the_workload_is_reproducible_and_padded_to_its_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MULTI30K_DIR", raising=False)
    (work, _), (again, _) = bench_peers.prepared(2, 1), bench_peers.prepared(2, 1)
    assert work == again
    for batch in work["batches"]:
        source, lengths = np.array(batch["source"]), np.array(batch["lengths"])
        assert source.shape == (64, lengths.max())
        assert ((source > 0).sum(1) == lengths).all()
        assert 6 <= lengths.min() <= lengths.max() <= 36


def test_the_last_column_is_our_speed_over_the_best_peer_per_round() -> None:
    found = {
        "rnn greedy": {
            "softlookup": [30.0, 90.0, 60.0],
            "JoeyNMT": [20.0, 10.0, 40.0],
            "OpenNMT-py": [40.0, 30.0, 20.0],
        },
        "rnn (luong) greedy": {"softlookup": [15.0, 9.0, 16.0]},
    }
    systems = [SimpleNamespace(name=name) for name in bench_peers.SYSTEMS]
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(bench_peers.table(found, systems))
    rows = [line.split() for line in console.export_text().splitlines()]
    assert rows[1] == ["rnn", "greedy", "60", "(30–90)", "20", "(10–40)", "30", "(20–40)", "1.50"]
    assert rows[2][-1] == "0.38"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("rounds=0", "rounds=0: expected a whole number from 1 to 999"),
        ("threads=two", "threads=two: expected a whole number"),
        ("clock=sun", "clock=sun: expected wall or processor"),
        ("systems=softlookup,fairseq", "there is no fairseq; valid: softlookup, JoeyNMT, OpenNMT-py"),
        ("systems=JoeyNMT peers=/nowhere", "is not installed; make bench-peers installs it"),
        ("round=3", "expected KEY=VALUE; did you mean rounds?"),
    ],
)
def test_a_mistake_is_reported_in_one_line(words: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_peers, "prepared", lambda *_: ({"threads": 1}, ""))
    with pytest.raises(UserError) as caught:
        bench_peers.main(words.split())
    assert message in str(caught.value)


def test_a_system_that_fails_is_reported_with_its_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("raise SystemExit('no module named joeynmt')")
    monkeypatch.setitem(bench_peers.SYSTEMS, "JoeyNMT", str(broken))
    with pytest.raises(UserError, match="JoeyNMT ended: no module named joeynmt"):
        bench_peers.System("JoeyNMT", Path(sys.executable), {"threads": 1})
