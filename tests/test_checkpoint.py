"""Checkpoints: the last two are kept intact, and loading one never runs code."""

import hashlib
import json
import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from softlookup.errors import UserError
from softlookup.training.checkpoints import KEPT, Checkpoints, serialized

CONTENT = {"model": {"weight": torch.arange(6.0)}, "steps": 7, "words": ["a", None, True], "big": 2**127}


def planted(tmp_path: Path, data: bytes) -> Checkpoints:
    """Write a checkpoint with the given bytes and a manifest with their hash."""
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(CONTENT, 1)
    (tmp_path / "checkpoints" / "step-1.pt").write_bytes(data)
    row = {"file": "step-1.pt", "step": 1, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    checkpoints.manifest.write_text(json.dumps([row]))
    return checkpoints


def test_the_last_two_are_kept_and_the_newest_is_loaded(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path)
    assert checkpoints.load() is None
    for step in range(1, 6):
        checkpoints.save({**CONTENT, "steps": step}, step)
        assert checkpoints.load()["steps"] == step
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == ["step-4.pt", "step-5.pt"]
    assert KEPT == 2
    loaded = checkpoints.load()
    assert torch.equal(loaded["model"]["weight"], CONTENT["model"]["weight"])
    assert {key: loaded[key] for key in ("words", "big")} == {key: CONTENT[key] for key in ("words", "big")}


@pytest.mark.parametrize("moment", ["before the file", "before the manifest", "before the oldest goes"])
def test_a_kill_at_any_moment_of_saving_leaves_an_intact_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save({**CONTENT, "steps": 1}, 1)
    checkpoints.save({**CONTENT, "steps": 2}, 2)
    replaced = 0

    def die(*paths: Any) -> None:
        nonlocal replaced
        replaced += 1
        if replaced == ["before the file", "before the manifest"].index(moment) + 1:
            raise KeyboardInterrupt
        os.rename(*paths)

    with monkeypatch.context() as patched:
        if moment == "before the oldest goes":
            patched.setattr(Path, "unlink", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        else:
            patched.setattr(os, "replace", die)
        with pytest.raises(KeyboardInterrupt):
            checkpoints.save({**CONTENT, "steps": 3}, 3)
    assert Checkpoints(tmp_path).load()["steps"] == (3 if moment == "before the oldest goes" else 2)
    checkpoints.save({**CONTENT, "steps": 4}, 4)
    assert checkpoints.load()["steps"] == 4
    assert len(list((tmp_path / "checkpoints").glob("step-*.pt"))) == 2


class Malicious:
    """An object whose unpickling creates the folder `marker`."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("form", ["torch", "pickle", "module"])
def test_a_planted_pickle_does_not_run(tmp_path: Path, form: str) -> None:
    marker = tmp_path / "it ran"
    data = {
        "torch": lambda: serialized({"model": Malicious(marker)}),
        "pickle": lambda: pickle.dumps(Malicious(marker)),
        "module": lambda: serialized({"model": torch.nn.Linear(2, 3)}),
    }[form]()
    with pytest.raises(UserError, match=r"holds more than tensors and plain values, and is not loaded"):
        planted(tmp_path, data).load()
    assert not marker.exists()


@pytest.mark.parametrize("content", [3, [1], "text", torch.ones(2)], ids=repr)
def test_content_that_is_not_a_checkpoint_is_rejected(tmp_path: Path, content: Any) -> None:
    with pytest.raises(UserError, match="expected a checkpoint"):
        planted(tmp_path, serialized(content)).load()


GOOD = serialized(CONTENT)
VOUCHED = hashlib.sha256(GOOD).hexdigest()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Create one folder for all cases; each case rewrites its files."""
    path = tmp_path_factory.mktemp("fuzz")
    (path / "checkpoints").mkdir()
    return path


@settings(max_examples=int(os.environ.get("FUZZ_CASES", "300")), deadline=None, derandomize=True)
@given(cut=st.integers(0, len(GOOD)), filling=st.binary(max_size=40), way=st.integers(0, 2), vouched=st.booleans())
def test_any_bytes_as_a_checkpoint_are_read_or_rejected(
    folder: Path, cut: int, filling: bytes, way: int, vouched: bool
) -> None:
    """If `vouched`, the manifest has the hash of the bytes, else that of the original checkpoint."""
    torn = [filling, GOOD[:cut], GOOD[:cut] + filling + GOOD[cut + len(filling) :]][way]
    (folder / "checkpoints" / "step-1.pt").write_bytes(torn)
    digest = hashlib.sha256(torn).hexdigest() if vouched else VOUCHED
    row = {"file": "step-1.pt", "step": 1, "bytes": len(GOOD), "sha256": digest}
    (folder / "checkpoints.json").write_text(json.dumps([row]))
    try:
        loaded = Checkpoints(folder).load()
    except UserError:
        return
    assert isinstance(loaded, dict)
    assert vouched or torn == GOOD


@settings(max_examples=150, deadline=None, derandomize=True)
@given(
    st.one_of(
        st.binary(max_size=60),
        st.recursive(
            st.none() | st.integers() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["file", "step", "bytes", "sha256"]), inner)
            ),
        ).map(lambda value: json.dumps(value).encode()),
    )
)
def test_any_manifest_is_read_or_rejected(folder: Path, content: bytes) -> None:
    (folder / "checkpoints.json").write_bytes(content)
    (folder / "checkpoints" / "step-1.pt").unlink(missing_ok=True)
    try:
        assert Checkpoints(folder).load() is None
        assert json.loads(content) == []
    except UserError as error:
        assert "rm -r" in str(error)  # noqa: PT017
