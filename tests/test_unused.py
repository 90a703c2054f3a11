"""A key that nothing uses is refused, or leaves no trace; a value of an experiment's table is told as tuned."""

import pytest
from hydra.core.hydra_config import HydraConfig

from softlookup.config.resolve import composed
from softlookup.config.unused_keys import References
from softlookup.errors import UserError
from softlookup.runs.run_id import hashed, run_id, variant_key


@pytest.fixture(autouse=True)
def _forget_the_last_config():
    yield
    HydraConfig.instance().cfg = None


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("sizes.dropout=0.3", "no chosen part uses it; write encoder.dropout=0.3 or decoder.dropout=0.3"),
        ("attention=dot sizes.alignment=7", "these do: attention=additive, attention=concat"),
        ("sizes.beam=3", "no chosen part uses it; these do: search=beam"),
        ("tuned.reverse.additive=0.1", "tuned.reverse: no such key"),
        ("experiment=bottleneck optimizer.rate=0.1 tuned.reverse.additive=0.1", "nothing refers to it here"),
        (
            "paper=bahdanau2014 task=multi30k published.paper.embedding=7",
            "no chosen part uses it; write encoder.embedding=7",
        ),
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
        "sizes.alignment=7",
        "sizes.words=7 task=multi30k",  # the target's are those of the source
        "attention=fixed_learned normalizer=sparsemax",
        "paper=bahdanau2014 task=multi30k published.small.embedding=7",
        "experiment=bottleneck tuned.reverse.additive=0.1",
        "encoder=bahdanau2014 sizes.dropout=0.3",
        "sizes.heads=2 attention=multi_head",
    ],
)
def test_a_key_that_a_chosen_part_uses_is_kept_as_a_choice(typed: str) -> None:
    config = composed(typed.split())
    kept = {word.partition("=")[0] for word in typed.split() if word.startswith(("sizes.", "normalizer"))}
    assert kept <= config["choices"].keys()


def test_a_choice_without_meaning_leaves_no_trace() -> None:
    config = composed(["attention=fixed_final"])
    assert not {"normalizer", "window", "segmentation"} & (config.keys() | config["choices"].keys())
    assert "normalizer" in composed(["attention=fixed_learned"])["choices"]
    assert "segmentation" in composed(["task=multi30k"])["choices"]


def test_a_normalizer_counts_where_the_attention_has_it() -> None:
    assert hashed(composed([]))["attention"]["normalizer"] == {"_target_": "softlookup.normalizer.softmax.Softmax"}
    assert run_id(composed([])) != run_id(composed(["normalizer=sparsemax"]))
    assert variant_key(composed(["seed=2"])) == variant_key(composed([])) != variant_key(composed(["budget=7"]))


def test_values_of_an_experiments_table_are_told_as_tuned_until_they_are_given() -> None:
    assert composed(["experiment=bottleneck"])["tuned"] == ["optimizer.rate"]
    assert composed(["experiment=bottleneck", "optimizer.rate=0.1"])["tuned"] == []
    assert composed([])["tuned"] == []


def test_references_are_followed_through_other_values() -> None:
    raw = {
        "choices": {"task": "copy"},
        "encoder": {"width": "${sizes.a}", "rates": [2, "${tuned.${choices.task}.rate}"]},
        "sizes": {"a": "${sizes.b}", "b": 3, "c": 5},
        "tuned": {"copy": {"rate": "${sizes.d}"}, "swap": {"rate": 7}},
        "normalizer": {"alpha": "${sizes.c}"},
    }
    found = References(raw, {"task": "copy"})
    assert [key for key in ("sizes.a", "sizes.b", "sizes.c", "sizes.d") if found.uses(key)] == [
        "sizes.a",
        "sizes.b",
        "sizes.d",
    ]
    assert [found.uses(key) for key in ("tuned.copy.rate", "tuned.swap.rate", "normalizer", "normalizer.alpha")] == [
        True,
        False,
        False,
        False,
    ]
    assert found.tuned == ["encoder.rates"]
