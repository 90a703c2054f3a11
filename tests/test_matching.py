"""Match: widths are solved so that a variant costs what the reference costs; its identity is its content."""

import pytest

from softlookup.config.build import build_model
from softlookup.config.resolve import composed, typed_keys
from softlookup.config.run_config import RunConfig
from softlookup.errors import UserError
from softlookup.evaluation.cost import parameters
from softlookup.matching.price import price
from softlookup.matching.solve import TOLERANCE, Solver, solve_all
from softlookup.runs.inputs import with_inputs
from softlookup.runs.run_id import run_id, variant_key

MATCH = ("experiment=bottleneck", "task=reverse", "match=parameters", "match_to=additive")
VARIANTS = ("fixed_learned", "fixed_mean", "additive", "scaled_dot")


def _config(*typed: str) -> RunConfig:
    return with_inputs(composed(typed), typed_keys())


def test_every_variant_of_the_default_comparison_has_as_many_parameters_as_the_reference() -> None:
    found: list[RunConfig] = []
    solve_all([_config(*MATCH, f"attention={name}") for name in VARIANTS], found.extend)
    sizes = {config.choices["attention"]: parameters(build_model(config, 31, 31)) for config in found}
    reference = found[VARIANTS.index("additive")]
    assert reference.matched is None
    assert run_id(reference) == run_id(_config(*MATCH[:2], "attention=additive"))
    assert {name: abs(size / sizes["additive"] - 1) <= TOLERANCE for name, size in sizes.items()} == dict.fromkeys(
        VARIANTS, True
    )
    for config in found:
        if config is not reference:
            assert config.matched is not None
            assert config.matched.reference == variant_key(reference)
            assert {
                "encoder.width": config.parts["encoder"]["width"],
                "decoder.width": config.parts["decoder"]["width"],
            } == (config.matched.widths)
    # Equal contents are one run: the widths typed by hand name the same one.
    mean = found[1]
    typed = [f"{key}={width}" for key, width in (mean.matched.widths if mean.matched else {}).items()]
    assert run_id(mean) == run_id(_config(*MATCH[:2], "attention=fixed_mean", *typed))
    assert RunConfig.of(mean.plain()) == mean


def test_state_is_that_of_the_named_source_length_and_what_no_width_reaches_is_told_with_numbers() -> None:
    state = ("match=state", "match_to=additive", "match_length=7")
    found = Solver().solved(_config(*state, "attention=general", "encoder.width=61"))
    # At 7 positions: keys of 128 and values of 2 · 61 numbers of 4 bytes, and a byte of the mask.
    assert found.matched is not None
    assert found.matched.value == found.matched.target == 7 * (4 * (128 + 122) + 1)
    assert found.matched.widths == found.matched.configured == {"encoder.width": 61, "decoder.width": 128}
    with pytest.raises(UserError, match=r"fixed_mean has at most 2,048 bytes .* additive has 7,175, 3.5 times"):
        Solver().solved(_config(*state, "attention=fixed_mean"))
    with pytest.raises(UserError, match=r"fixed_initial has at most 0 bytes .* additive has 7,175; name other widths"):
        Solver().solved(_config(*state, "attention=fixed_initial"))


def test_the_widths_to_solve_can_be_named() -> None:
    found = Solver().solved(_config(*MATCH, "attention=fixed_mean", "match_widths=decoder.readout"))
    assert found.matched is not None
    assert list(found.matched.widths) == ["decoder.readout"]
    assert abs(found.matched.residual) < 0.002
    with pytest.raises(UserError, match=r"match_widths=decoder\.depth: decoder\.depth is no width of this run"):
        Solver().solved(_config(*MATCH, "attention=fixed_mean", "match_widths=decoder.depth"))
    with pytest.raises(UserError, match=r"decoder\.depth is no width of this run"):
        Solver().solved(_config(*MATCH, "attention=additive", "match_widths=decoder.depth"))
    with pytest.raises(UserError, match=r"encoder\.width is named twice"):
        Solver().solved(_config(*MATCH, "attention=fixed_mean", "match_widths=encoder.width+encoder.width"))


def test_a_value_of_the_attention_is_that_of_the_reference_too() -> None:
    found = _config(*MATCH, "attention=general", "attention.heads=2")
    assert found.reference is not None
    assert found.reference.parts["attention"]["heads"] == 2
    assert (
        found.reference.parts["optimizer"]["rate"]
        == _config("experiment=bottleneck", "task=reverse").parts["optimizer"]["rate"]
    )
    assert found.settings.match == "parameters"


def test_additive_attention_takes_the_operations_of_its_products_more_than_a_mean() -> None:
    n, sizes = 5, (31, 31)
    additive, mean = (price(_config(f"attention={name}"), "flops", n, sizes) for name in ("additive", "fixed_mean"))
    # W q and U k, 128 by 128, once a step and once a position; v and the weighted sum, 128 wide, for each pair. Each
    # product has two of its size in the backward pass.
    assert additive - mean == 3 * (2 * n * (2 * 128 * 128) + 2 * n * n * (2 * 128))
