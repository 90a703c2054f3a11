"""Whatever is typed or written: a mistake told in one line, or a config that conforms. Nothing else is done."""

import importlib
import os
import re
import shutil
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml
from choices import OFFERED
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from softlookup.config import catalog
from softlookup.config.catalog import hosts, presets
from softlookup.config.command_line import check_overrides, split
from softlookup.config.components import check_part, part_of
from softlookup.config.resolve import composed, resolve
from softlookup.config.run_config import RunConfig
from softlookup.config.settings import Settings, declared, names
from softlookup.config.values import check
from softlookup.errors import UserError
from softlookup.runs.run_id import run_id

GROUPS = [group for group in OFFERED if group not in presets()]


def fuzz(cases: int):
    """The same cases every time, small as they are, without a limit on the time of one: the machine may be busy."""
    return settings(
        max_examples=cases,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much],
    )


TARGETS = st.sampled_from([
    "os.system", "pathlib.Path.write_text", "torch.load", "antigravity.x", "subprocess.getoutput", "softlookup",
    "softlookup.config.resolve.build", "softlookup.attention.dot.Dot", "softlookup.attention.dot.os",
    "softlookup.attention.multi_head.attention", "softlookup.task.copy.Copy",
    "softlookup.tracking.wandb_values.summary",
    "softlookup.encoder.gru.Gru", "softlookup.normalizer.softmax.Softmax",
])  # fmt: skip
WORDS = st.sampled_from([
    "${seed}", "${tuned.a}", "${oc.env:HOME}", "${oc.decode:'{a: 1}'}", "${", "${seed", "$seed", "???", "null", "nan",
    "-inf", "1e400", "[1,2", "{a:1}", "a,b", "glob(*)", "range(1,3)", "<script>", "../..", "a\nb", "\0", "\udcff", "",
])  # fmt: skip
NUMBERS = st.one_of(
    st.integers(), st.integers(-3, 300), st.floats(), st.sampled_from([10**400, -(10**20), float("nan"), float("inf")])
)
PLAIN = st.one_of(NUMBERS, st.booleans(), st.none(), st.text(max_size=8), WORDS, TARGETS)
KEYS = st.one_of(
    st.sampled_from(["_target_", "_partial_", "_args_", "_recursive_", "_convert_", "score", "normalizer", "width"]),
    st.sampled_from(["heads", "dropout", "layers", "rate", "longest", "path", "hydra", "callbacks", "x"]),
    st.text(max_size=4),
)
NESTED = st.recursive(
    PLAIN, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3), max_leaves=6
)
VALUES = st.one_of(PLAIN, PLAIN, NESTED)
HEADS = st.sampled_from(
    [*OFFERED, *names(), "tuned", "published", "choices", "experiment", "hydra", "atention", "_target_", ""]
)
PATHS = st.builds(lambda head, keys: ".".join([head, *keys]), HEADS, st.lists(KEYS, max_size=2))
# Places that are there, more often than not, so that it is the value that is looked at.
PLACES = st.sampled_from([
    *names(), "encoder.width", "encoder.dropout", "task.longest", "optimizer.rate", "attention.score.width", "tuned.a",
]) | PATHS  # fmt: skip
TYPED = st.one_of(
    st.text(max_size=12),
    st.builds(
        lambda sign, key, between, value: f"{sign}{key}{between}{value}",
        st.sampled_from(["", "", "+", "++", "~", "-", "--"]),
        st.one_of(PATHS, st.sampled_from(["hydra/launcher", "hydra/callbacks", "task@x", "hydra.launcher.x"])),
        st.sampled_from(["=", "=", "=", "==", "", "@", "/"]),
        VALUES.map(str) | st.sampled_from([choice for choices in OFFERED.values() for choice in choices]),
    ),
    st.sampled_from(["-m", "--multirun", "--cfg", "-c", "--config-dir", "-cd=x", "--resolve", "-p", "--", "-"]),
)
# Keys with a value of the right kind more often than not, so that much of it gets through.
FITTING = st.sampled_from([
    "encoder.width=32", "attention.heads=2", "optimizer.rate=0.01", "task.longest=12", "seed=3", "attention=dot",
    "normalizer=sparsemax", "task.symbols=9", "decoder=luong", "memory=100", "workers=null", "tracking=disabled",
])  # fmt: skip


class Harm(BaseException):
    """Something was imported or run that no config may reach; no Exception, so that nothing takes it for an answer."""


@pytest.fixture(autouse=True)
def _guarded(parts: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:  # noqa: ARG001 - imported first
    """An import by name of anything but softlookup's own, and a call of what the targets name, end the test."""
    by_name = importlib.import_module

    def guarded(name: str, package: str | None = None) -> Any:
        if name.partition(".")[0] not in ("softlookup", "hydra", "hydra_plugins", "hypothesis"):
            raise Harm(name)
        return by_name(name, package)

    def called(*given: Any, **named: Any) -> None:
        raise Harm(given, named)

    monkeypatch.setattr(importlib, "import_module", guarded)
    for owner, name in ((Path, "write_text"), (os, "system")):
        monkeypatch.setattr(owner, name, called)
    yield
    HydraConfig.instance().cfg = None


@pytest.fixture(scope="module")
def base() -> Any:
    """One composition, Hydra's own node too; a case changes a copy of it."""
    with initialize_config_dir(str(catalog.CONF), version_base=None):
        return compose("train", return_hydra_config=True)


@pytest.fixture(scope="module")
def parts(base: Any) -> dict[str, Any]:
    HydraConfig.instance().set_config(base)
    return {group: OmegaConf.to_container(base[group], resolve=True) for group in GROUPS}


def one_line(error: UserError) -> None:
    assert str(error)
    assert "\n" not in str(error)


def conforms(config: RunConfig) -> None:
    """What a run may rely on: every part can be checked again, is ours, and the run's folder has a plain name."""
    assert Settings.of(config.settings.plain()) == config.settings
    assert config.parts.keys() == set(GROUPS) - hosts().keys() - {"tracking"}
    for group, node in (*config.parts.items(), ("tracking", config.tracking)):
        ours(group, node)
    assert re.fullmatch(r"[\w.-]+-s\d+-[0-9a-f]{12}", run_id(config))
    assert RunConfig.of(config.plain()) == config


def ours(group: str, node: Any) -> None:
    check_part(group, node, part_of(group))
    assert node["_target_"].startswith(f"softlookup.{group}.")


@fuzz(240)
@given(st.lists(st.one_of(TYPED, TYPED, FITTING), min_size=1, max_size=3))
def test_any_words_are_understood_or_told(words: list[str]) -> None:
    try:
        check_overrides(words)
        flags, overrides = split(words)
        assert sorted([*flags, *overrides], key=str) or not words
        assert not any(word.startswith("-") for word in overrides)
    except UserError as error:
        one_line(error)


@fuzz(243)
@given(st.sampled_from(list(declared().values())), VALUES)
def test_any_value_is_of_its_type_or_told(expected: Any, value: Any) -> None:
    try:
        check("key", value, expected)
    except UserError as error:
        one_line(error)
    else:
        assert not isinstance(value, list | dict)
        if isinstance(value, float):
            assert value - value == 0  # neither nan nor infinite


@fuzz(60)
@given(changes=st.dictionaries(PLACES, VALUES, min_size=1, max_size=2))
def test_any_values_in_a_composed_config_are_resolved_or_told(base: Any, changes: dict[str, Any]) -> None:
    changed = OmegaConf.masked_copy(base, [str(key) for key in base if key != "hydra"])
    try:
        for path, value in changes.items():
            OmegaConf.update(changed, path, value, force_add=True)
    except (OmegaConfBaseException, ValueError, AssertionError, AttributeError, TypeError):
        return  # Hydra could not have composed it
    HydraConfig.instance().set_config(base)
    try:
        conforms(resolve(changed))
    except UserError as error:
        one_line(error)


@fuzz(45)
@given(group=st.sampled_from(GROUPS), key=KEYS, value=VALUES, inside=st.booleans())
def test_any_part_is_checked_and_built_or_told(
    parts: dict[str, Any], group: str, key: str, value: Any, inside: bool
) -> None:
    node = deepcopy(parts[group])
    if inside and "score" in node:
        node["score"][key] = value
    else:
        node[key] = value
    try:
        check_part(group, node, part_of(group))
    except UserError as error:
        one_line(error)
    else:
        ours(group, node)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("conf") / "conf"
    shutil.copytree(catalog.CONF, copy)
    return copy


def nested(words: list[str]) -> bytes:
    """`encoder.width=32` as a file has it."""
    config = OmegaConf.from_dotlist(words)
    return OmegaConf.to_yaml(config).encode()


CONTENTS = st.one_of(
    st.binary(max_size=30),
    st.lists(FITTING.filter(lambda word: "." in word or word[:4] == "seed"), max_size=3).map(nested),
    st.dictionaries(st.one_of(st.sampled_from([*names(), "defaults"]), PATHS), VALUES, max_size=2).map(
        lambda content: yaml.dump(content, allow_unicode=True).encode(errors="replace")
    ),
)


@fuzz(20)
@given(contents=CONTENTS)
def test_any_file_is_composed_or_told(planted: Path, monkeypatch: pytest.MonkeyPatch, contents: bytes) -> None:
    for module in ("catalog", "resolve"):
        monkeypatch.setattr(f"softlookup.config.{module}.CONF", planted)
    catalog._check_file.cache_clear()
    (planted / "experiment" / "x.yaml").write_bytes(f"{catalog.GLOBAL}\n".encode() + contents)
    try:
        conforms(composed(["experiment=x"]))
    except UserError as error:
        one_line(error)
