"""A run is what it reads and how it was asked for: the content of its data counts, and not the place."""

import gzip
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from hydra.core.hydra_config import HydraConfig

from softlookup.config.resolve import composed, typed_keys
from softlookup.config.run_config import RunConfig
from softlookup.errors import UserError
from softlookup.inference.trained_run import load
from softlookup.run import execute
from softlookup.runs import precision
from softlookup.runs.inputs import with_inputs
from softlookup.runs.run_folder import RunFolder
from softlookup.runs.run_id import run_id, variant_key
from softlookup.system import product_speed
from softlookup.system.signals import Stop

SOURCE = Path(__file__).parents[1] / "src"
SIDES = {"de": "ein hund rennt\nein mann schläft\n" * 11, "en": "a dog runs\na man sleeps\n" * 11}


@pytest.fixture(autouse=True)
def _alone(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    yield
    HydraConfig.instance().cfg = None


def corpus(folder: Path, sides: dict[str, str] = SIDES) -> Path:
    folder.mkdir(parents=True)
    for stem in ("train", "val", "test"):
        for language, text in sides.items():
            (folder / f"{stem}.{language}").write_text(text)
    return folder


def config(path: Path | str, *more: str) -> dict:
    words = ["task=multi30k", f"task.path='{path}'", "tracking=disabled", "budget=50", "validations=1", *more]
    return with_inputs(
        composed(
            [
                *words,
                "encoder.width=3",
                "decoder.width=5",
                "encoder.embedding=2",
                "decoder.embedding=2",
                "attention.score.width=7",
            ]
        ),
        typed_keys(),
    )


def test_the_same_command_beside_other_data_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    corpus(tmp_path / "a" / "data")
    corpus(tmp_path / "b" / "data", {"de": SIDES["en"], "en": SIDES["de"]})
    ids = []
    for place in ("a", "b"):
        monkeypatch.chdir(tmp_path / place)
        made = config("data")
        assert made.parts["task"]["path"] == str(tmp_path / place / "data")
        ids.append(run_id(made))
    assert ids[0] != ids[1]


def test_the_same_data_elsewhere_or_packed_is_the_same_run(tmp_path: Path) -> None:
    one = corpus(tmp_path / "one")
    other = tmp_path / "other"
    shutil.copytree(one, other)
    for file in list(other.iterdir()):
        (other / f"{file.name}.gz").write_bytes(gzip.compress(file.read_bytes()))
        file.unlink()
    assert run_id(config(one)) == run_id(config(other))


@pytest.mark.parametrize("stem", ["train", "val", "test"])
def test_every_split_counts(tmp_path: Path, stem: str) -> None:
    path = corpus(tmp_path / "data")
    before = config(path)
    file = path / f"{stem}.en"
    file.write_text(file.read_text().replace("sleeps", "snores", 1))
    after = config(path)
    assert run_id(before) != run_id(after)
    assert variant_key(before) != variant_key(after)
    named = {"val": "validation"}.get(stem, stem)
    assert [name for name in before.data if before.data[name] != after.data[name]] == [named]


@pytest.mark.parametrize("key", ["alignment", "silver"])
def test_files_of_links_count_by_content(tmp_path: Path, key: str) -> None:
    path = corpus(tmp_path / "data")
    ids = {run_id(config(path))}
    for name, first in (("a", "0-0"), ("b", "0-0"), ("c", "1-1")):
        (tmp_path / name).write_text(f"{first}\n" + "0-0\n" * 21)
        ids.add(run_id(config(path, f"task.{key}='{tmp_path / name}'")))
    assert len(ids) == 3
    with pytest.raises(UserError, match=rf"task.{key}=.*nowhere cannot be read"):
        config(path, f"task.{key}='{tmp_path}/nowhere'")


def test_another_tokenizer_for_bleu_is_another_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That of Japanese depends on what is installed: two machines must not be averaged over two tokenizers."""
    path = corpus(tmp_path / "data", {"en": SIDES["en"], "ja": SIDES["de"]})
    made = {}
    for missing in (None, "MeCab"):
        monkeypatch.setattr("softlookup.text.languages._missing", lambda _, missing=missing: missing)
        path.joinpath("seen").write_text(str(missing))  # the data is read again
        made[missing] = config(path, "task.source=en", "task.target=ja")
    assert [each.data["tokenizer"] for each in made.values()] == ["ja-mecab", "char"]
    assert run_id(made[None]) != run_id(made["MeCab"])


@pytest.mark.parametrize(("seconds", "taken"), [((1.0, 0.79), "bf16"), ((1.0, 0.81), "float32")])
def test_the_precision_that_auto_takes_is_the_identity(
    seconds: tuple[float, float],
    taken: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It is measured once, and all runs take the same; runs of both precisions are two variants."""
    path = corpus(tmp_path / "data")
    measured: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        measured.append(command)
        found = json.dumps(dict(zip(("float32", "bf16"), seconds, strict=True)))
        return subprocess.CompletedProcess(command, 0, f"a line\n{found}\n", "")

    precision._faster.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(precision.subprocess, "run", run)
        made = [config(path, "precision=auto", f"seed={seed}") for seed in (1, 2)]
    precision._faster.cache_clear()
    assert len(measured) == 1
    assert capsys.readouterr().out.startswith(f"precision=auto takes {taken}: ")
    assert run_id(made[0]) == run_id(config(path, f"precision={taken}"))
    assert {each.identity()["precision"] for each in made} == {taken}
    assert len({variant_key(config(path, f"precision={each}")) for each in ("float32", "bf16")}) == 2


def test_both_precisions_are_measured_on_this_machine() -> None:
    assert all(0 < found < 60 for found in product_speed.seconds(torch.device("cpu")).values())


def test_the_row_tells_the_data_and_data_that_changed_since_is_refused(tmp_path: Path) -> None:
    path = corpus(tmp_path / "data")
    asked = config(path, f"runs_dir='{tmp_path}/runs'")
    folder = RunFolder.of(asked)
    folder.begin(asked)
    row = execute(asked, folder, Stop())
    assert row["data"] == {name: digest[:12] for name, digest in asked.data.items()}
    assert row["settings"]["data.test"] == asked.data["test"]
    assert not any("path" in key or "dataset" in key for key in row["settings"])
    (path / "test.en").write_text(SIDES["en"].upper())
    other = RunFolder(tmp_path / "runs" / "again")
    other.begin(asked)
    with pytest.raises(UserError, match="the data of this run has changed since it was planned: test;"):
        execute(asked, other, Stop())


def test_a_folder_of_another_version_of_the_figures_is_not_used(runs: dict[str, Path], tmp_path: Path) -> None:
    copied = tmp_path / runs["additive"].name
    shutil.copytree(runs["additive"], copied)
    row = json.loads((copied / "result.json").read_text())
    del row["version"]
    (copied / "result.json").write_text(json.dumps(row))
    with pytest.raises(UserError, match="made by another version of the code, so its figures cannot be compared"):
        load(copied)


def test_a_sweep_over_two_folders_makes_two_variants(tmp_path: Path) -> None:
    corpus(tmp_path / "A")
    corpus(tmp_path / "B", {"de": SIDES["de"], "en": SIDES["en"].replace("runs", "walks")})
    sizes = [
        "encoder.width=3",
        "decoder.width=5",
        "encoder.embedding=2",
        "decoder.embedding=2",
        "attention.score.width=7",
    ]
    words = ["task=multi30k", "task.path=A,B", "seed=1,2", "tracking=disabled", "budget=50", "validations=1", *sizes]
    command = [sys.executable, str(SOURCE / "train.py"), "-m", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    kept = [
        RunConfig.of(yaml.safe_load(file.read_text())) for file in (tmp_path / "runs" / "single").glob("*/config.yaml")
    ]
    assert len(kept) == 4
    assert len({variant_key(each) for each in kept}) == 2
    assert {Path(each.parts["task"]["path"]).name for each in kept} == {"A", "B"}
