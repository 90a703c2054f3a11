"""A key that nothing uses is refused, or leaves no trace; a value of an experiment's table is told as tuned."""

from pathlib import Path

import pytest
from hydra.core.hydra_config import HydraConfig

from softlookup.config.resolve import composed
from softlookup.config.unused_keys import References
from softlookup.errors import UserError
from softlookup.runs.run_id import run_id, variant_key


@pytest.fixture(autouse=True)
def _forget_the_last_config():
    yield
    HydraConfig.instance().cfg = None


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("tuned.reverse.additive=0.1", "tuned.reverse: no such key"),
        ("experiment=bottleneck optimizer.rate=0.1 tuned.reverse.additive=0.1", "nothing refers to it here"),
        ("paper=bahdanau2014 task=multi30k published.paper.embedding=7", "nothing refers to it here; leave it out"),
        ("attention=dot attention.score.width=7", "the chosen attention has no such key; additive, concat do"),
        ("paper=bahdanau2014 attention=dot attention.score.width=7", "the chosen attention has no such key; additive"),
        (
            "attention=fixed_final normalizer=sparsemax",
            "normalizer=sparsemax: the chosen attention (attention=fixed_final) uses no normalizer; leave it out, or "
            "take attention=additive or attention=concat or attention=cosine",
        ),
        ("attention=fixed_mean window=local_m", "window=local_m: the chosen attention (attention=fixed_mean) uses no"),
        ("attention=fixed_mean window=local_m window.radius=3", "uses no window"),
        (
            "segmentation=bpe",
            "the chosen task (task=reverse) uses no segmentation; leave it out, or take task=multi30k",
        ),
        ("segmentation=bpe segmentation.joint=false", "uses no segmentation"),
    ],
)
def test_a_key_that_does_nothing_is_refused_with_what_would_do_it(typed: str, said: str) -> None:
    with pytest.raises(UserError) as refused:
        composed(typed.split())
    assert said in str(refused.value)


@pytest.mark.parametrize(
    "typed",
    [
        "attention.score.width=7",
        "task=multi30k segmentation.vocabulary_size=7",  # the target's is that of the source
        "attention=fixed_learned normalizer=sparsemax",
        "paper=bahdanau2014 task=multi30k published.small.embedding=7",
        "experiment=bottleneck tuned.reverse.additive=0.1",
        "attention=multi_head attention.heads=2",
    ],
)
def test_a_key_that_a_chosen_part_uses_is_kept_as_a_choice(typed: str) -> None:
    config = composed(typed.split())
    keys = [word.partition("=")[0] for word in typed.split()]
    kept = {key for key in keys if ("." in key or key == "normalizer") and not key.startswith(("tuned", "published"))}
    assert kept <= config.choices.keys()


def test_a_choice_without_meaning_leaves_no_trace() -> None:
    config = composed(["attention=fixed_final"])
    assert not {"normalizer", "window", "segmentation"} & (config.parts.keys() | config.choices.keys())
    assert "normalizer" in composed(["attention=fixed_learned"]).choices
    assert "segmentation" in composed(["task=multi30k"]).choices


def test_a_normalizer_counts_where_the_attention_has_it() -> None:
    assert composed([]).identity()["attention"]["normalizer"] == {"_target_": "softlookup.normalizer.softmax.Softmax"}
    assert run_id(composed([])) != run_id(composed(["normalizer=sparsemax"]))
    assert variant_key(composed(["seed=2"])) == variant_key(composed([])) != variant_key(composed(["budget=7"]))


def test_values_of_an_experiments_table_are_told_as_tuned_until_they_are_given() -> None:
    assert composed(["experiment=bottleneck"]).tuned == ("optimizer.rate",)
    assert composed(["experiment=bottleneck", "optimizer.rate=0.1"]).tuned == ()
    assert composed([]).tuned == ()


def test_references_are_followed_through_other_values() -> None:
    raw = {
        "choices": {"task": "copy"},
        "encoder": {"width": "${published.a}", "rates": [2, "${tuned.${choices.task}.rate}"]},
        "published": {"a": "${published.b}", "b": 3, "c": 5, "d": 7},
        "tuned": {"copy": {"rate": "${published.d}"}, "swap": {"rate": 7}},
        "normalizer": {"alpha": "${published.c}"},
    }
    found = References(raw, {"task": "copy"})
    keys = [f"published.{name}" for name in "abcd"]
    assert [key for key in keys if found.uses(key)] == ["published.a", "published.b", "published.d"]
    assert [found.uses(key) for key in ("tuned.copy.rate", "tuned.swap.rate", "normalizer", "normalizer.alpha")] == [
        True,
        False,
        False,
        False,
    ]
    assert found.tuned == ["encoder.rates"]


def test_a_key_of_a_preset_applies_to_the_choices_that_have_it() -> None:
    assert composed(["paper=bahdanau2014"]).parts["attention"]["score"]["width"] == 256
    assert "width" not in composed(["paper=bahdanau2014", "attention=dot"]).parts["attention"]["score"]
    assert "score" not in composed(["paper=bahdanau2014", "attention=fixed_mean"]).parts["attention"]
    rates = {name: composed(["paper=vaswani2017", f"optimizer={name}"]).parts["optimizer"]["rate"] for name in RATES}
    assert rates == RATES


# The preset has a rate for its own optimizer; others keep theirs.
RATES = {"vaswani2017": 0.005, "adam": 0.003, "adadelta": 1.0}


def test_a_key_that_no_choice_of_the_group_has_is_refused_in_a_preset(conf: Path) -> None:
    planted = conf / "experiment" / "planted.yaml"
    planted.write_text("# @package _global_\nencoder: {widht: 7}\n")
    with pytest.raises(UserError, match=r"encoder.widht: no such key; did you mean encoder.width\?"):
        composed(["experiment=planted"])
