"""A preset is its paper: the choices it makes, the sizes it has, how it trains; and each choice can be made anew."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from choices import OFFERED

from softlookup.config.build import build_model
from softlookup.config.resolve import composed
from softlookup.config.run_config import RunConfig
from softlookup.errors import UserError
from softlookup.evaluation.cost import parameters

# What the tests of the papers count and transcribe, term by term, at size=paper: matrices and biases.
NUMBERS = {
    "bahdanau2014": (30_000, 30_000, 80_401_000 + 41_000),
    "cho2014": (15_000, 15_000, 24_200_000 + 3 * 1000 + 2 * 1000 + 3 * 1000 + 1000 + 15_000),
    "sutskever2014": (160_000, 80_000, 384_000_000 + 2 * 4 * 2 * 4 * 1000 + 80_000),
    # 221 M with general and input feeding; W_p and v_p of local-p.
    "luong2015": (50_000, 50_000, 221_000_000 + 1000 * 1000 + 1000 + 2 * 4 * 2 * 4 * 1000 + 50_000),
    "vaswani2017": (37_000, 37_000, 63_082_632),
}


@pytest.mark.parametrize("paper", OFFERED["paper"])
def test_at_the_papers_size_it_has_the_papers_numbers(paper: str) -> None:
    config = composed([f"paper={paper}", "size=paper", "task=copy", "initialization=own"])
    source, target, expected = NUMBERS[paper]
    with torch.device("meta"):
        assert parameters(build_model(config, source, target)) == expected


@pytest.mark.parametrize("paper", OFFERED["paper"])
def test_small_is_small(paper: str) -> None:
    config = composed([f"paper={paper}", "task=copy", "initialization=own"])
    with torch.device("meta"):
        assert parameters(build_model(config, 10_000, 10_000)) < 15_000_000


def trained(paper: str) -> dict[str, Any]:
    config = composed([f"paper={paper}", "size=paper"])
    return {**config.settings.plain(), **config.parts}


@pytest.mark.parametrize("paper", OFFERED["paper"])
def test_its_rates_and_thresholds_are_told_by_its_own_mean(paper: str) -> None:
    """Those that batch by sentences divide by sentences, the one that batches by tokens by tokens; and experiments that
    train papers by one recipe take one mean for all."""
    config = composed([f"paper={paper}", "size=paper"])
    assert config.settings.loss_mean == ("token" if config.settings.batch_sentences is None else "sentence")
    assert composed([f"paper={paper}", "experiment=recurrent"]).settings.loss_mean == "token"
    assert composed([f"paper={paper}", "experiment=bleu_by_length"]).settings.loss_mean == "token"


def test_rnnsearch_trains_as_appendix_b_says() -> None:
    found = trained("bahdanau2014")
    assert found["optimizer"] == {
        "_target_": "softlookup.optimizer.adadelta.Adadelta", "rate": 1.0, "rho": 0.95, "epsilon": 1e-6, "clip": 1.0,
    }  # fmt: skip
    assert (found["batch_sentences"], found["pool"], found["batch_tokens"]) == (80, 20, None)
    assert composed(["paper=bahdanau2014"]).choices["initialization"] == "gaussian"


def test_luong_trains_as_section_4_1_says() -> None:
    found = trained("luong2015")
    assert (found["optimizer"]["rate"], found["optimizer"]["clip"], found["batch_sentences"]) == (1.0, 5.0, 128)
    assert found["schedule"] == {"_target_": "softlookup.schedule.halving.Halving", "first": 0.5, "every": 0.1}


def test_the_transformer_trains_as_section_5_says() -> None:
    found = trained("vaswani2017")
    assert found["optimizer"]["rate"] == pytest.approx(512**-0.5 * 4000**-0.5, rel=1e-4)
    assert (found["optimizer"]["beta1"], found["optimizer"]["beta2"]) == (0.9, 0.98)
    assert found["optimizer"]["epsilon"] == 1e-9
    assert found["schedule"]["warm_up_steps"] == 4000
    assert (found["label_smoothing"], found["tying"], found["batch_tokens"]) == (0.1, "all", 25_000)


def built(config: RunConfig) -> str | None:
    """Why no model can be built of a config, or None."""
    try:
        with torch.device("meta"):
            own = {"initialization": {"_target_": "softlookup.initialization.own.Own"}}
            build_model(replace(config, parts={**config.parts, **own}), 97, 97)
    except UserError as error:
        return str(error)
    return None


@pytest.mark.parametrize("paper", OFFERED["paper"])
def test_every_attention_can_be_chosen_behind_a_preset(paper: str) -> None:
    refused = {
        attention: why
        for attention in OFFERED["attention"]
        if (why := built(composed([f"paper={paper}", f"attention={attention}"])))
    }
    # A decoder without a state of its own loses a source that is read at its start alone.
    assert refused.keys() == ({"fixed_initial"} if paper == "vaswani2017" else set()), refused


@pytest.mark.parametrize("paper", OFFERED["paper"])
def test_every_group_can_be_chosen_anew_behind_a_preset(paper: str) -> None:
    before = composed([f"paper={paper}", "task=multi30k"]).choices
    groups = ("encoder", "decoder", "initialization", "optimizer", "schedule", "segmentation", "search")
    for place, group in enumerate(groups):
        others = [choice for choice in OFFERED[group] if choice != before[group]]
        choice = others[place % len(others)]
        config = composed([f"paper={paper}", "task=multi30k", f"{group}={choice}"])
        assert config.choices == before | {group: choice}
        why = built(config)
        assert why is None or "encoder" in why or "tying=none" in why, why


def test_the_command_of_the_readme_is_rnnsearch_with_another_score() -> None:
    config = composed(["paper=bahdanau2014", "attention=dot", "task=multi30k"])
    assert config.parts["attention"]["score"] == {"_target_": "softlookup.attention.dot.Dot", "_partial_": True}
    assert config.parts["decoder"]["_target_"] == "softlookup.decoder.bahdanau2014.Bahdanau2014"
    assert built(config) is None


def test_published_vocabularies_have_a_size_for_either_side() -> None:
    segmentation = composed(["paper=sutskever2014", "size=paper", "task=multi30k"]).parts["task"]["segmentation"]
    assert (segmentation["vocabulary_size"], segmentation["target_vocabulary_size"]) == (160_000, 80_000)


def test_each_paper_searches_as_it_says() -> None:
    found = {
        paper: composed([f"paper={paper}", "size=paper"]).parts["search"] for paper in ("sutskever2014", "vaswani2017")
    }
    assert (found["sutskever2014"]["size"], found["sutskever2014"]["length_penalty"]) == (12, 0.0)
    vaswani = found["vaswani2017"]
    assert (vaswani["size"], vaswani["length_penalty"]) == (4, 0.6)
    assert (vaswani["longest_ratio"], vaswani["longest_extra"]) == (1.0, 50)


@pytest.mark.parametrize(
    ("typed", "said"), [("size=paper", "choose one, as in paper=bahdanau2014"), ("size=big", "small or paper")]
)
def test_a_size_without_a_paper_and_another_size_are_refused(typed: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        composed([typed])
