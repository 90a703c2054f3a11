"""The Lightning module: loss, validation, curriculum and averaged weights."""

import math
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from choices import DECODER, ENCODER, attention_node, node
from toy import Toy

from softlookup.config.build import build
from softlookup.contract import Curriculum, Example
from softlookup.curriculum.adaptive import Adaptive
from softlookup.curriculum.fixed import Fixed
from softlookup.curriculum.linear import Linear
from softlookup.data.collate import collate, evaluation_batches
from softlookup.data.training_stream import Batching, Data, TrainingStream
from softlookup.model.seq2seq import Seq2Seq
from softlookup.model.training_step import Recipe, Update
from softlookup.optimizer.adam import Adam
from softlookup.schedule.constant import Constant
from softlookup.schedule.linear import Linear as Warm
from softlookup.text.vocabulary import UNK
from softlookup.training import module
from softlookup.training.module import Training
from softlookup.training.unread import MOST, UnreadSteps
from softlookup.training.weight_averaging import Average

BUDGET = 997
ADAM = {"beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8, "clip": 0.5}
WARM = Warm(warmup=0.2, final=0.1)
PLAN = Recipe(Adam(rate=0.01, **ADAM), WARM)


def make(curriculum: Curriculum | None = None, plan: Recipe = PLAN) -> tuple[Training, list[dict[str, Any]]]:
    encoder = build(node("encoder", "gru", **ENCODER))
    decoder, attention = (
        build(node("decoder", "bahdanau", **DECODER)),
        build(attention_node("additive", "softmax", None)),
    )
    size, records = len(Toy.source_vocabulary), []
    model = Seq2Seq(encoder, lambda *widths: decoder(*widths, attention), size, size)
    return Training(model, plan, curriculum or Fixed(Toy()), BUDGET, records.append), records


def trainer(**options: Any) -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu", max_epochs=1, num_sanity_val_steps=0, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, **options,
    )  # fmt: skip


# Lightning's advice on workers and streams without a length is irrelevant here.
QUIET = pytest.mark.filterwarnings("ignore::UserWarning")


def test_validation_counts_every_target_token_once_and_no_padding() -> None:
    training, records = make()
    training.eval()
    examples = Toy().validation()
    with torch.no_grad():
        training.on_validation_epoch_start()
        for index, start in enumerate((0, 3, 4)):
            training.validation_step(collate(examples[start : (3, 4, 7)[index]]), index)
        training.running_loss.update(1.25, 7)
        training.on_validation_epoch_end()
        losses, rights = [], {}
        for example in examples:
            alone = collate([example])
            logits = training.model(alone)
            for row, token in zip(logits, alone.target[0], strict=True):
                losses.append(F.cross_entropy(row, token).item())
                rights.setdefault(len(example.source), []).append(float(row.argmax() == token))
    [record] = records
    every = [right for correct_flags in rights.values() for right in correct_flags]
    assert len(every) == sum(len(example.target) + 1 for example in examples)
    assert record["validation/loss"] == pytest.approx(sum(losses) / len(losses), abs=1e-5)
    assert record["validation/token_accuracy"] == pytest.approx(sum(every) / len(every), abs=1e-6)
    assert record["train/loss"] == pytest.approx(1.25)
    assert record["curriculum/length"] == 13
    assert all(isinstance(value, int | float) for value in record.values())
    assert training.by_length == pytest.approx(
        {length: sum(correct_flags) / len(correct_flags) for length, correct_flags in rights.items()}, abs=1e-6
    )


def test_validation_never_counts_an_unknown_token_as_correct() -> None:
    """A model that always predicts UNK has accuracy 0 over all positions, also in what the curriculum observes."""
    training, records = make()
    with torch.no_grad():
        training.model.output.weight.zero_()
        training.model.output.bias[UNK] = 7.0
    training.on_validation_epoch_start()
    examples = [Example((5, 7), (UNK, UNK, UNK)), Example((5, 7, 9), (UNK,))]
    training.validation_step(collate(examples), 0)
    training.running_loss.update(1.0)
    training.on_validation_epoch_end()
    assert records[0]["validation/token_accuracy"] == 0
    assert training.by_length == {2: 0, 3: 0}


def test_a_second_validation_starts_with_reset_metrics() -> None:
    training, records = make()
    batch = collate(Toy().validation())
    for scale in (1.0, 0.0):
        training.on_validation_epoch_start()
        with torch.no_grad():
            training.model.output.weight.mul_(scale)
            training.model.output.bias.mul_(scale)
        training.validation_step(batch, 0)
        training.running_loss.update(1.0)
        training.on_validation_epoch_end()
    # All logits equal: the loss is log V.
    assert records[1]["validation/loss"] == pytest.approx(torch.tensor(11.0).log().item(), abs=1e-5)


def test_the_validation_loss_is_not_smoothed() -> None:
    training, records = make(plan=Recipe(PLAN.optimizer, PLAN.schedule, smoothing=0.1))
    batch = collate(Toy().validation())
    with torch.no_grad():
        logits = training.model(batch)
        training.on_validation_epoch_start()
        training.validation_step(batch, 0)
        training.running_loss.update(1.0)
        training.on_validation_epoch_end()
    log_p_of_targets = logits.double().log_softmax(-1)[torch.arange(len(logits)), batch.target[batch.target_mask]]
    assert records[0]["validation/loss"] == pytest.approx(-log_p_of_targets.mean().item(), rel=1e-5)


@QUIET
def test_a_loss_that_is_not_finite_passes_through_lightning() -> None:
    training, _ = make(plan=Recipe(Adam(rate=1e30, **ADAM), Constant()))
    with pytest.raises(FloatingPointError, match="the loss is"):
        trainer().fit(
            training,
            datamodule=Data(TrainingStream(Toy(), training.curriculum, 3, BUDGET, Batching(53)), Toy().validation()),
        )


@QUIET
@pytest.mark.parametrize("wrong", [None, 29])
def test_losses_left_on_a_device_are_read_together_and_before_they_matter(
    wrong: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The records are those of losses that are read at once; after a loss that is not finite there is none."""
    taken, read = [], []
    ordinary, ordinary_read = module.update, UnreadSteps.read

    def deferred(*given: Any) -> Update:
        found = ordinary(*given)
        taken.append(found)
        loss = torch.tensor(math.nan if len(taken) - 1 == wrong else found.loss, dtype=torch.float64)
        return replace(found, loss=loss)

    def counted(steps: UnreadSteps) -> list[tuple[float, int, float]]:
        read.append(len(steps))
        return ordinary_read(steps)

    found = []
    for update in (ordinary, deferred):
        monkeypatch.setattr(module, "update", update)
        torch.manual_seed(3)
        training, records = make()
        stream = TrainingStream(Toy(), training.curriculum, 3, BUDGET, Batching(11), validations=2)
        training.cadence = stream.cadence
        if update is deferred:
            monkeypatch.setattr(UnreadSteps, "read", counted)
        raises = pytest.raises(FloatingPointError, match=f"the loss is nan at step {wrong};")
        with raises if wrong and update is deferred else nullcontext():
            trainer().fit(training, datamodule=Data(stream, Toy().validation()))
        found.append([{k: v for k, v in record.items() if k != "seconds"} for record in records])
    if wrong is None:
        assert found[0] == found[1]
        assert len(training.step_seconds) == training.steps == len(taken)
        assert read[0] == 1
        assert len(read) < training.steps / 10
    else:
        assert len(training.step_seconds) == wrong < len(taken) <= wrong + MOST
        assert found[1] == [record for record in found[0] if record["step"] < wrong]


@QUIET
def test_a_fit_spends_the_budget_reduces_the_loss_and_logs_the_lengths() -> None:
    training, records = make(Linear(Toy(), until=0.5))
    data = Data(
        TrainingStream(Toy(), training.curriculum, seed=3, budget=BUDGET, batching=Batching(23)), Toy().validation()
    )
    trainer(val_check_interval=7).fit(training, datamodule=data)
    assert BUDGET <= training.tokens < BUDGET + 14
    assert sum(training.step_tokens) == training.tokens
    assert len(training.step_seconds) == len(training.step_tokens)
    assert records[-1]["validation/loss"] < records[0]["validation/loss"]
    assert [record["step"] for record in records] == [7 * (i + 1) for i in range(len(records))]
    limits = [point["length"] for point in training.lengths]
    assert limits == sorted(set(limits))
    assert (limits[0], limits[-1]) == (2, 13)
    for point in training.lengths:
        assert Linear(Toy(), until=0.5).length(min(1.0, point["tokens"] / BUDGET)) == point["length"]


def test_an_adaptive_curriculum_observes_the_validation_and_its_growth_is_logged() -> None:
    training, records = make(Adaptive(Toy(), start=3, growth=4, threshold=1e-9))
    with torch.no_grad():
        # EOS everywhere: one token of every sentence is correct.
        training.model.output.bias[2] = 1e9
        training.on_validation_epoch_start()
        for index, batch in enumerate(evaluation_batches(Toy().validation())):
            training.validation_step(batch, index)
        training.running_loss.update(1.0)
        training.on_validation_epoch_end()
    assert records[0]["curriculum/length"] == 3
    assert [point["length"] for point in training.lengths] == [3, 7]


def test_the_average_is_the_mean_of_the_last_weights_and_resumes_from_its_state() -> None:
    values = [1.0, 2.0, 4.0, 8.0, 16.0]
    model = torch.nn.Linear(1, 1, bias=False)
    average = Average(last=3, count=5)
    for place, value in enumerate(values):
        torch.nn.init.constant_(model.weight, value)
        average.take(place, place + 1, model)
        again = Average(last=3, count=5)
        again.load_state_dict(average.state_dict())
        average = again
    assert average.count == 3
    average.copy_to(model)
    assert model.weight.item() == pytest.approx((4 + 8 + 16) / 3)
    none = Average(last=0, count=5)
    none.take(0, 5, model)
    none.copy_to(model)
    assert (none.count, model.weight.item()) == (0, pytest.approx(28 / 3))


def test_weights_of_a_step_that_ends_several_shares_count_for_each_share() -> None:
    """Last four of seven shares: the step that ends shares 3 to 5 counts twice (4 and 5), the next two once each."""
    model = torch.nn.Linear(1, 1, bias=False)
    average = Average(last=4, count=7)
    for before, now, value in ((0, 2, 100.0), (2, 5, 3.0), (5, 6, 11.0), (6, 7, 23.0)):
        torch.nn.init.constant_(model.weight, value)
        average.take(before, now, model)
    average.copy_to(model)
    assert (average.count, model.weight.item()) == (4, pytest.approx((2 * 3 + 11 + 23) / 4))
