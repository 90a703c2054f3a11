import json
import re
import subprocess
import sys
from pathlib import Path

import fake_runs
import numpy as np
import pytest
from PIL import Image

from softlookup.analysis.load import read
from softlookup.analysis.measures import title
from softlookup.dashboard import static_figure
from softlookup.dashboard.page import render, write
from softlookup.dashboard.page_data import payload
from softlookup.dashboard.static_figure import readme_picture
from softlookup.dashboard.style import styles
from softlookup.errors import UserError
from softlookup.heatmaps import html


@pytest.fixture
def rows(tmp_path):
    return read(fake_runs.make(tmp_path))


def test_styles_are_distinct_within_an_experiment_and_shared_between_experiments(tmp_path):
    fake_runs.make(tmp_path, "one", variants=("fixed_mean", "additive", "dot"))
    fake_runs.make(tmp_path, "two", variants=("additive", "dot", "cosine", "general"))
    found = styles(read(tmp_path))
    assert found["one"]["additive"] == found["two"]["additive"]
    assert found["one"]["dot"] == found["two"]["dot"]
    for style_by_variant in found.values():
        assert len({(style.color, style.symbol) for style in style_by_variant.values()}) == len(style_by_variant)
    assert [name for name, style in found["one"].items() if style.fixed] == ["fixed_mean"]
    assert [style.mark for style in found["one"].values()] == ["circle-open", "circle", "circle"]


def test_styles_repeat_only_after_all_are_used(tmp_path):
    fake_runs.make(tmp_path, tasks=("copy",), variants=tuple(f"v{i:02}" for i in range(60)), seeds=2)
    used_styles = [(style.color, style.symbol) for style in styles(read(tmp_path))["bottleneck"].values()]
    assert [used_styles.count(look) for look in used_styles[:28]] == [3] * 4 + [2] * 24


def test_a_page_of_many_seeds_has_the_maps_of_the_first_three_and_a_note(tmp_path):
    note = "The first 3 seeds of each variant"
    written = render(read(fake_runs.make(tmp_path / "few", tasks=("copy",), variants=("additive", "dot"))))
    assert note not in written
    written = render(read(fake_runs.make(tmp_path / "many", tasks=("copy",), variants=("additive", "dot"), seeds=5)))
    assert note in written
    (task,) = payload(read(tmp_path / "many"))["experiments"][0]["tasks"]
    assert sorted(task["heat"]["runs"]) == [
        *(f"additive-copy-s{seed}" for seed in (1, 2, 3)), *(f"dot-copy-s{seed}" for seed in (2, 3, 4))
    ]  # fmt: skip


def test_weights_are_whole_percents_with_the_places_of_gold(tmp_path):
    folder = fake_runs.make(tmp_path, tasks=("copy",), variants=("additive",)) / "bottleneck" / "additive-copy-s2"
    weights = np.array([[0.1, 0.7, 0.2], [1.0, 0.0, 0.0]], dtype=np.float32)
    arrays = {"weights_0": weights, "gold_0": np.array([[False, True, False], [True, False, False]])}
    words = {"source_0": ["a", "<b>", "a"], "target_0": ["x", "y"], "reference_0": ["z"]}
    np.savez(folder / "alignments.npz", **arrays, **{name: np.array(value) for name, value in words.items()})
    (task,) = payload(read(tmp_path))["experiments"][0]["tasks"]
    (example,) = task["heat"]["runs"][folder.name]
    assert (example["weights"].tolist(), example["weights"].dtype) == ([10, 70, 20, 100, 0, 0], np.uint8)
    assert (example["gold"], example["source"], example["reference"]) == ([1, 3], ["a", "<b>", "a"], ["z"])


def test_every_measure_of_a_run_has_a_name_a_direction_and_a_meaning(rows):
    shown = payload(rows)["measures"]
    assert {"token_accuracy", "bleu_lowercased", "validation/loss", "cost/peak_bytes"} <= set(shown)
    assert all(one["title"] and one["meaning"].endswith(".") for one in shown.values())
    assert {name: shown[name]["better"] for name in ("token_accuracy", "validation/loss", "cost/peak_bytes")} == {
        "token_accuracy": "higher", "validation/loss": "lower", "cost/peak_bytes": "lower",
    }  # fmt: skip
    assert title("test/forced/token_accuracy") == "token accuracy (teacher forcing)"
    assert title("alignment_accuracy") == "alignment accuracy (free decoding, up to the first difference)"


def test_the_picture_is_written(rows, tmp_path):
    path = readme_picture(rows, "bottleneck", tmp_path / "lengths.png")
    with Image.open(path) as image:
        assert image.width > image.height > 400
    with pytest.raises(UserError, match="token_accuracy"):
        readme_picture(rows, "bottleneck", path, "token_acuracy")
    with pytest.raises(UserError, match="bottleneck"):
        readme_picture(rows, "botleneck", path)


def test_the_page_forbids_all_requests(rows):
    for page in (render(rows), html.render([])):
        policy = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', page)[1].split("; ")
        assert {"default-src 'none'", "base-uri 'none'", "form-action 'none'"} <= set(policy)


def test_a_page_without_a_finished_run_is_written(tmp_path):
    folder = fake_runs.make(tmp_path) / "bottleneck"
    for result in folder.glob("*/result.json"):
        result.unlink()
    assert "result.json is absent or cannot be read" in write(tmp_path, tmp_path / "dashboard.html").read_text()


def test_the_command_prints_the_path_and_reports_mistakes_without_a_traceback(tmp_path):
    fake_runs.make(tmp_path)
    command = [sys.executable, str(Path(__file__).parents[1] / "src" / "dashboard.py")]
    done = subprocess.run([*command, f"runs_dir={tmp_path}"], capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == tmp_path / "dashboard.html"
    wrong = subprocess.run([*command, "run_dir=x"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert wrong.stderr == "error: 'run_dir=x': expected KEY=VALUE; did you mean runs_dir?\n"


def test_lengths_are_labelled_with_their_unit(tmp_path, monkeypatch):
    runs_dir = fake_runs.make(tmp_path)
    for path in runs_dir.glob("bottleneck/*grammar*/result.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"length_unit": "words"}))
    rows = read(runs_dir)
    assert [task["unit"] for task in payload(rows)["experiments"][0]["tasks"]] == ["tokens", "words"]
    saved = []
    monkeypatch.setattr(static_figure.atomic_files, "write", lambda *_: None)
    monkeypatch.setattr(static_figure.Figure, "savefig", lambda self, *_, **__: saved.append(self))
    readme_picture(rows, "bottleneck", tmp_path / "a.png")
    assert {axes.get_title(loc="left"): axes.get_xlabel() for axes in saved[0].axes} == {
        "reverse": "source length (tokens)", fake_runs.TASKS[1]: "source length (words)",
    }  # fmt: skip
