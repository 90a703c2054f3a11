"""Curricula by hand, and contract tests of every curriculum in conf/curriculum/."""

import math

import pytest
from choices import OFFERED, node
from toy import Toy

from softlookup.config.build import build
from softlookup.contract import Curriculum, Task
from softlookup.curriculum.adaptive import Adaptive
from softlookup.curriculum.competence import Competence
from softlookup.curriculum.fixed import Fixed
from softlookup.curriculum.linear import Linear
from softlookup.curriculum.staged import Staged
from softlookup.data.training_stream import Batching, TrainingStream
from softlookup.errors import UserError

EVERY = pytest.mark.parametrize("choice", OFFERED["curriculum"])
GRID = [step / 101 for step in range(102)]
MASTERED = dict.fromkeys(range(2, 14), 1.0)


class Lengths(Toy):
    """The toy task with different training lengths."""

    def __init__(self, shortest: int, longest: int) -> None:
        self.lengths = (shortest, longest)


def make(choice: str, task: Task | None = None) -> Curriculum:
    return build(node("curriculum", choice))(task or Toy())


@EVERY
@pytest.mark.parametrize("accuracy", [0.0, 1.0])
def test_limits_never_fall_and_stay_within_the_training_lengths(choice: str, accuracy: float) -> None:
    curriculum, limits = make(choice), []
    for progress in GRID:
        limits.append(curriculum.length(progress))
        curriculum.observe(progress, dict.fromkeys(range(2, 14), accuracy))
    assert all(isinstance(limit, int) for limit in limits)
    assert limits == sorted(limits)
    assert limits[0] >= 2
    assert limits[-1] <= 13


@EVERY
def test_a_model_of_perfect_accuracy_reaches_the_full_length(choice: str) -> None:
    curriculum = make(choice)
    for progress in GRID:
        curriculum.observe(progress, MASTERED)
    assert curriculum.length(1.0) == 13


@EVERY
def test_a_task_of_one_length_has_one_limit(choice: str) -> None:
    curriculum = make(choice, Lengths(5, 5))
    assert {curriculum.length(progress) for progress in GRID} == {5}


@EVERY
@pytest.mark.parametrize("budget", [997, 5003])
def test_every_curriculum_spends_the_budget_to_within_one_sentence(choice: str, budget: int) -> None:
    curriculum, tokens = make(choice), 0
    for (batch,) in TrainingStream(Toy(), curriculum, seed=3, budget=budget, batching=Batching(61)):
        limit = curriculum.length(min(1.0, tokens / budget))
        assert max(len(example.source) for example in batch.examples) <= limit
        tokens += int(batch.target_mask.sum())
        curriculum.observe(tokens / budget, MASTERED)
    assert budget <= tokens < budget + 13 + 1


def test_fixed_is_always_the_full_length() -> None:
    assert {Fixed(Toy()).length(progress) for progress in GRID} == {13}


@pytest.mark.parametrize(("progress", "length"), [(0.0, 2), (0.1, 4), (0.25, 7), (0.4999, 12), (0.5, 13), (1.0, 13)])
def test_linear_by_hand(progress: float, length: int) -> None:
    # 2 + 11 p / 0.5, rounded down
    assert Linear(Toy(), until=0.5).length(progress) == length


@pytest.mark.parametrize(
    ("progress", "length"), [(0.0, 4), (0.19, 4), (0.21, 7), (0.41, 10), (0.59, 10), (0.6, 13), (1.0, 13)]
)
def test_staged_by_hand(progress: float, length: int) -> None:
    # Quarters of the range from 2 to 13: 4.75, 7.5, 10.25, 13, rounded down; the next stage every 0.2.
    assert Staged(Toy(), stages=3, until=0.6).length(progress) == length


def test_staged_has_the_requested_number_of_steps() -> None:
    for stages in range(1, 12):
        limits = {Staged(Toy(), stages, until=0.5).length(step / 10007) for step in range(10008)}
        assert len(limits) == stages + 1


@pytest.mark.parametrize("progress", [0.0, 0.05, 0.125, 0.25, 0.5, 1.0])
def test_competence_follows_equation_8_of_platanios_et_al(progress: float) -> None:
    competence = min(1.0, math.sqrt(progress * (1 - 0.1**2) / 0.5 + 0.1**2))
    curriculum = Competence(Lengths(0, 1000), initial=0.1, until=0.5)
    assert curriculum.length(progress) == round(1000 * competence)
    assert curriculum.length(0.0) == 100
    # c = √(0.25 · 0.99 + 0.01) = 0.50744…
    assert curriculum.length(0.125) == 507


def test_competence_uses_the_quantiles_of_the_task() -> None:
    class Skewed(Toy):
        def quantile(self, share: float) -> int:
            return 3 if share < 0.6 else 11

    curriculum = Competence(Skewed(), initial=0.1, until=0.5)
    assert [curriculum.length(progress) for progress in (0.0, 0.125, 0.25, 1.0)] == [3, 3, 11, 11]


def test_adaptive_grows_only_when_the_current_length_reaches_the_threshold() -> None:
    curriculum = Adaptive(Toy(), start=4, growth=3, threshold=0.9)
    for accuracy, length in [
        ({4: 0.89}, 4),
        ({3: 1.0, 4: 0.5}, 4),
        ({4: 0.2, 5: 1.0}, 4),
        ({5: 1.0}, 4),
        ({}, 4),
        ({4: 0.9, 7: 0.0}, 7),
        # No validation source has 7 tokens: the longest below that has 6.
        ({4: 0.1, 6: 0.95, 8: 0.0}, 10),
        ({10: 0.1}, 10),
        ({10: 1.0}, 13),
        ({13: 1.0}, 13),
    ]:
        curriculum.observe(0.5, accuracy)
        assert curriculum.length(0.5) == length


@pytest.mark.parametrize(("start", "length"), [(0, 2), (5, 5), (99, 13)])
def test_adaptive_starts_within_the_training_lengths(start: int, length: int) -> None:
    assert Adaptive(Toy(), start, growth=1, threshold=0.9).length(0.0) == length


@pytest.mark.parametrize(
    ("make_one", "message"),
    [
        (lambda: Linear(Toy(), until=0.0), r"curriculum\.until=0\.0"),
        (lambda: Linear(Toy(), until=1.5), r"curriculum\.until=1\.5"),
        (lambda: Staged(Toy(), stages=12, until=0.5), r"stages=12: source lengths from 2 to 13 have room for 11 steps"),
        (lambda: Staged(Toy(), stages=0, until=0.5), r"curriculum\.stages=0"),
        (lambda: Staged(Toy(), stages=1, until=-1.0), r"curriculum\.until=-1\.0"),
        (lambda: Competence(Toy(), initial=1.1, until=0.5), r"curriculum\.initial=1\.1"),
        (lambda: Competence(Toy(), initial=0.1, until=2.0), r"curriculum\.until=2\.0"),
        (lambda: Adaptive(Toy(), 4, growth=0, threshold=0.9), r"curriculum\.growth=0"),
        (lambda: Adaptive(Toy(), 4, growth=1, threshold=90), r"curriculum\.threshold=90"),
    ],
)
def test_values_out_of_range_are_rejected_by_name(make_one, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_one()
