"""Costs by length: predicted against measured to the byte, laws by hand, and docstrings against exponents."""

import csv
import json
import sys
from pathlib import Path

import pytest
import torch
from choices import OFFERED

from softlookup.errors import UserError
from softlookup.pricing.law import degree, exponent, extrapolated, longer_half
from softlookup.pricing.parts import Part, parts
from softlookup.pricing.price import FIGURES, priced, statement
from softlookup.pricing.trace import Measurement, Prediction

FAR = tuple(1 << power for power in (13, 15, 17))


def _part(group: str, name: str) -> Part:
    ((_, _, make),) = parts({group: [name]}, [])
    return make()


@pytest.mark.parametrize("name", OFFERED["attention"])
def test_an_attention_costs_what_is_predicted_and_grows_as_its_docstring_says(name: str) -> None:
    part = _part("attention", name)
    prediction, measurement = Prediction(part), Measurement(part)
    for length in (17, 31):
        found, expected = prediction.at(length), measurement.counted(length)
        assert {figure: found[figure] for figure in FIGURES} == {figure: expected[figure] for figure in FIGURES}
    stated = statement(prediction.module)
    assert stated.keys() == {"time", "memory", "state"}
    costs = {length: prediction.at(length) for length in FAR}
    for what, figure in (("time", "flops"), ("memory", "peak_bytes"), ("state", "state_bytes")):
        slope = exponent({length: cost[figure] for length, cost in costs.items()})
        if slope is not None:  # a product that is never taken, and a state of nothing, have no exponent
            assert slope.value == pytest.approx(degree(stated[what]), abs=0.05), what
        else:
            assert degree(stated[what]) < 2


@pytest.mark.parametrize(
    ("group", "name"),
    [
        ("encoder", "gru"), ("encoder", "transformer"), ("decoder", "bahdanau"),
        *(("normalizer", name) for name in OFFERED["normalizer"]),
        *(("window", name) for name in OFFERED["window"]),
        *(("mixer", name) for name in OFFERED["mixer"]),
    ],
)  # fmt: skip
def test_every_other_choice_costs_what_is_predicted(group: str, name: str) -> None:
    part = _part(group, name)
    found, expected = Prediction(part).at(7), Measurement(part).counted(7)
    assert {figure: found[figure] for figure in FIGURES} == {figure: expected[figure] for figure in FIGURES}


@pytest.mark.parametrize("group", ["encoder", "decoder"])
def test_memory_of_a_transformer_grows_with_the_length(group: str) -> None:
    prediction = Prediction(_part(group, "transformer"))
    slope = exponent({length: prediction.at(length)["peak_bytes"] for length in FAR})
    assert slope is not None
    assert slope.value == pytest.approx(1, abs=0.05)


def test_a_loop_is_extrapolated_by_a_law_that_gives_what_was_measured() -> None:
    found = priced(_part("encoder", "cho2014"), (40, 48, 56, 4096), 1e-9, 1e9, lambda _: None)
    assert {row["basis"] for row in found.rows} == {"extrapolated"}
    assert found.checked == (3, 3)
    assert "checked at 40, 48, 56" in found.notes[0]
    assert found.rows[-1]["seconds"] is None
    assert found.rows[-1]["flops"] == pytest.approx(found.rows[0]["flops"] * 4096 / 40, rel=0.01)


def test_a_polynomial_is_exact_and_an_exponent_has_its_interval() -> None:
    assert extrapolated({2: 5 + 3 * 4, 4: 5 + 3 * 16, 8: 5 + 3 * 64}, 1 << 17) == 5 + 3 * (1 << 34)
    assert extrapolated({2: 1, 4: None}, 8) is None
    assert extrapolated({2: 1, 4: 2}, 3) is None
    slope = exponent({1: 1.0, 2: 8.0, 4: 4.0, 8: 64.0})
    assert slope is not None
    # log₂ y = 0, 3, 2, 6 over 0, 1, 2, 3: a slope of 17/10, residuals whose squares sum to 4.3, and t(2) = 4.303.
    assert slope.value == pytest.approx(1.7)
    assert (slope.high - slope.low) / 2 == pytest.approx(4.3027 * (4.3 / 2 / 5) ** 0.5, rel=1e-3)
    assert exponent({1: 1.0, 2: 2.0}) is None
    assert exponent({1: 0.0, 2: 0.0, 4: 0.0}) is None
    assert longer_half({1: 1.0, 2: 2.0, 4: None, 8: 8.0, 16: 16.0}) == {2: 2.0, 8: 8.0, 16: 16.0}


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "src"))
    threads = torch.get_num_threads()
    yield __import__("cost")
    torch.set_num_threads(threads)
    sys.modules.pop("cost")


def test_the_program_writes_what_it_prints(program, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    program.main(["attention=dot,fixed_mean", "longest=512", "seconds=0.01", f"output={tmp_path}"])
    assert "at 6 of 6 points" in capsys.readouterr().out
    with open(tmp_path / "cost.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["choice"], row["length"]) for row in rows] == [
        (name, length) for name in ("dot", "fixed_mean") for length in ("128", "256", "512")
    ]
    state = {row["choice"]: int(row["state_bytes"]) for row in rows if row["length"] == "512"}
    assert state == {"dot": 512 * (4 * 128 + 1), "fixed_mean": 4 * 128}
    content = json.loads((tmp_path / "cost.json").read_text())
    assert [one["choice"] for one in content["parts"]] == ["dot", "fixed_mean"]
    assert (tmp_path / "cost.png").read_bytes()[1:4] == b"PNG"
    assert b"<svg" in (tmp_path / "cost.svg").read_bytes()


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("attention=dott", "did you mean dot?"),
        ("longest=1000", "expected a power of two"),
        ("seconds=soon", "expected a number above 0"),
        ("output=", "the value is missing"),
        ("lenght=5", "lenght"),
    ],
)
def test_mistakes_are_named(program, argument: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message.replace("?", r"\?")):
        program.main(["attention=dot", f"output={tmp_path}", argument])
