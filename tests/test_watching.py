"""Best weights and patience, by hand and in a run; BLEU on a part of the validation set."""

from pathlib import Path
from typing import Any

import pytest
import sacrebleu
from configs import changed
from hydra.core.hydra_config import HydraConfig
from test_resume import attempt, outcome
from torch import Tensor, nn

from softlookup.config.resolve import composed
from softlookup.errors import Stopped, UserError
from softlookup.evaluation.validation_bleu import Excerpt
from softlookup.search.search import Hypothesis, Search
from softlookup.system.ranks import ALONE
from softlookup.task.grammar import Grammar
from softlookup.task.reverse import Reverse
from softlookup.text.vocabulary import EOS
from softlookup.training.early_stopping import Watch
from softlookup.training.fit import Fit


@pytest.fixture(autouse=True)
def _forget_the_last_config():
    yield
    HydraConfig.instance().cfg = None


@pytest.mark.parametrize(
    ("metric", "values", "best", "waited"),
    [
        ("validation/loss", [5.0, 3.0, 3.0, 4.0], 1, 2),  # the first of equal values
        ("validation/loss", [5.0, 6.0, 2.0], 2, 0),
        ("validation/bleu", [5.0, 3.0, 7.0, 7.0], 2, 1),
    ],
)
def test_the_best_weights_are_kept_and_validations_without_improvement_are_counted(
    metric: str, values: list[float], best: int, waited: int
) -> None:
    model, watch = nn.Linear(1, 1, bias=False), Watch(metric, keep=True, patience=2)
    for place, value in enumerate(values):
        assert not watch.over
        nn.init.constant_(model.weight, 11.0 * place)
        watch.observe({metric: value, "validation/other": -value}, 10 * place, 100 * place, model)
        again = Watch(metric, keep=True, patience=2)
        again.load_state_dict(watch.state_dict())
        watch = again
    assert watch.over == (waited == 2)
    watch.copy_to(model)
    assert model.weight.item() == 11.0 * best
    assert watch.best is not None
    assert watch.best["values"] == {metric: values[best], "validation/other": -values[best]}
    assert [watch.best[name] for name in ("value", "step", "tokens")] == [values[best], 10 * best, 100 * best]


def test_without_keep_and_patience_no_weights_are_kept_and_training_continues() -> None:
    model, watch = nn.Linear(1, 1), Watch()
    for value in (1.0, 2.0, 3.0, 4.0):
        watch.observe({"validation/loss": value}, 1, 1, model)
    assert (watch.over, watch.state_dict()["weights"]) == (False, {})


# At this learning rate the loss soon rises.
IMPATIENT = [
    "task.longest=6", "encoder.width=7", "decoder.width=14", "attention.score.width=5", "optimizer.rate=0.5",
    "schedule=constant", "budget=2003", "batch_tokens=48", "validations=9", "keep=best", "patience=2",
    "tracking=disabled", "device=cpu",
]  # fmt: skip


def test_patience_ends_a_run_and_its_resumed_copy_at_the_same_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = composed([*IMPATIENT, f"runs_dir={tmp_path / 'whole'}"])
    folder = attempt(whole, monkeypatch)
    found, losses = outcome(folder), [record["validation/loss"] for record in folder.records()]
    first = losses.index(min(losses))
    assert len(losses) == first + 3 < 9
    row = found["row"]
    assert (row["ended"], row["metrics"]["train/validations"]) == ("patience", len(losses))
    assert row["metrics"]["train/tokens"] == folder.records()[-1]["tokens"] < 2003
    assert row["kept"]["tokens"] == folder.records()[first]["tokens"]
    output = capsys.readouterr().out
    assert f"patience=2: ended after {row['metrics']['train/tokens']:,} of 2,003 target tokens" in output
    assert "measured" not in output  # the number of validations matches the spent budget

    stopped = changed(whole, runs_dir=str(tmp_path / "stopped"))
    moments = row["metrics"]["train/steps"] + len(losses)
    for number in (moments // 2, moments - moments // 2 - 2):

        def stop(fit: Fit, at: int, wanted: int = number) -> None:
            if at == wanted:
                fit.stop.number = 15

        with pytest.raises(Stopped):
            attempt(stopped, monkeypatch, stop)
    assert outcome(attempt(stopped, monkeypatch)) == found


class Known(Search):
    """A search that writes the target of every source without its last `cut` tokens."""

    def __init__(self, task: Grammar, cut: int) -> None:
        super().__init__(3.0, 10)
        self.targets = {example.source: example.target for example in task.validation()}
        self.cut = cut
        self.seen: list[tuple[int, ...]] = []

    def __call__(self, model: Any, source: Tensor, mask: Tensor, weights: bool = True) -> list[list[Hypothesis]]:  # noqa: ARG002
        rows = [tuple(row[keep].tolist())[:-1] for row, keep in zip(source, mask, strict=True)]
        self.seen += rows
        written = [[*self.targets[row][: len(self.targets[row]) - self.cut], EOS] for row in rows]
        return [[Hypothesis(ids, 0.0, 0.0, None)] for ids in written]


def test_bleu_is_computed_on_evenly_spaced_validation_sentences() -> None:
    task = Grammar(longest=20)
    model = nn.Module()
    model.output = nn.Linear(1, 1)  # type: ignore[assignment]
    for cut in (0, 2):
        search = Known(task, cut)
        found = Excerpt(task, 17, search, ALONE).bleu(model)  # type: ignore[arg-type]
        assert len(search.seen) == len(set(search.seen)) == 17
        order = [example.source for example in task.validation()]
        places = sorted(order.index(source) for source in search.seen)
        assert places == [number * len(order) // 17 for number in range(17)]
        chosen = [task.validation()[place] for place in places]
        texts = [task.target_vocabulary.write(e.target[: len(e.target) - cut]) for e in chosen]
        expected = sacrebleu.corpus_bleu(texts, [[e.reference for e in chosen]], force=True).score
        assert found == pytest.approx(expected, abs=1e-9)
        assert (expected == pytest.approx(100)) == (cut == 0)


def test_watching_bleu_without_text_or_enough_sentences_is_rejected() -> None:
    with pytest.raises(UserError, match="watch=bleu: the validation set of this task is not text"):
        Excerpt(Reverse(symbols=20, shortest=2, longest=5), None, Known(Grammar(longest=20), 0), ALONE)
    with pytest.raises(UserError, match=r"watch_sentences=1000: the validation set has \d+"):
        Excerpt(Grammar(longest=20), 1000, Known(Grammar(longest=20), 0), ALONE)
