"""The W&B workspace and report of an experiment: what is sent to a local server, panel by panel."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import fake_runs
import pytest
from wandb_server import Server, clean_environment, serving

import wandb_report
from softlookup.analysis.effect_table import effect_tables
from softlookup.analysis.headline import headlines
from softlookup.analysis.load import read
from softlookup.errors import UserError
from softlookup.tracking.wandb_values import PLOTTED

PROGRAM = Path(__file__).parents[1] / "src" / "wandb_report.py"
TASKS = ("grammar", "reverse")
HEADINGS = ["Effect of attention", "Means over seeds", "Quality by length", "Alignment beside accuracy",
            "Quality against memory and time", "Alignments"]  # fmt: skip
KINDS = [["Bar Chart"] * 3, ["Run History Line Plot"] * 3, ["Vega2"] * 3, ["Scatter Plot"], ["Scatter Plot"] * 2,
         ["Media Browser"]]  # fmt: skip


def made(runs_dir: Path, server: Server | None = None) -> list[str]:
    environment = clean_environment(runs_dir.parent, **(server.environment if server else {}))
    command = [sys.executable, PROGRAM, "experiment=bottleneck", f"runs_dir={runs_dir}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=120)
    assert done.stderr == ""
    return done.stdout.splitlines()


def grids(blocks: list[dict]) -> list[tuple[list[dict], list[dict]]]:
    """Return run sets and panels of each panel grid."""
    found = [block["metadata"] for block in blocks if block["type"] == "panel-grid"]
    return [(grid["runSets"], grid["panelBankSectionConfig"]["panels"]) for grid in found]


def filters(runset: dict) -> list[tuple[str, str, object]]:
    return [(one["key"]["name"], one["op"], one["value"]) for one in runset["filters"]["filters"]]


@pytest.mark.skipif(
    importlib.util.find_spec("wandb_workspaces") is None, reason="wandb-workspaces is not installed: make setup"
)
def test_what_is_sent_panel_by_panel(tmp_path: Path) -> None:
    runs_dir = fake_runs.make(tmp_path / "runs", tasks=TASKS, variants=("fixed_mean", "additive", "general"))
    path, *rest = made(runs_dir)
    kept = json.loads(Path(path).read_text())
    assert len(rest) == 1
    assert "wandb login" in rest[0]
    with serving() as server:
        addresses = made(runs_dir, server)[1:]
    assert [address.split("/us/softlookup")[0] for address in addresses] == [server.environment["WANDB_BASE_URL"]] * 2
    view, report = server.views
    assert (view["type"], report["type"]) == ("project-view", "runs")
    assert {(sent["entityName"], sent["projectName"]) for sent in server.views} == {("us", "softlookup")}

    # The report: text as at the end of a sweep, panels by task over the runs of that task, grouped by attention.
    blocks = json.loads(report["spec"])["blocks"]
    assert [block["type"] for block in kept["report"]["spec"]["blocks"]] == [block["type"] for block in blocks]
    text = [block["content"] for block in blocks if block["type"] == "markdown-block"]
    rows = read(runs_dir, "bottleneck")
    assert sorted(line.removeprefix("> ") for line in text if line.startswith("> ")) == sorted(headlines(rows))
    assert sorted(line.split("\n")[0].strip("*") for line in text if line.startswith("**")) == sorted(
        table.title for table in effect_tables(rows)
    )
    headings = [block["children"][0]["text"] for block in blocks if block["type"] == "heading"]
    assert headings == [*(name for task in TASKS for name in (task, *HEADINGS)), "Failed runs"]
    *of_tasks, (failed, comparison) = grids(blocks)
    group = ("group", "=", "bottleneck")
    for i, (runsets, panels) in enumerate(of_tasks):
        (runs,) = runsets
        assert filters(runs) == [group, ("choices/task", "=", TASKS[i // len(HEADINGS)])]
        assert [key["name"] for key in runs["grouping"]] == ["choices.value.attention"]
        assert [panel["viewType"] for panel in panels] == KINDS[i % len(HEADINGS)]
    assert filters(failed[0]) == [group, ("state", "IN", ["failed", "crashed", "killed"])]
    assert failed[0]["runFeed"]["columnPinned"]["summary:reason"]
    assert [panel["viewType"] for panel in comparison] == ["Run Comparer"]
    bars, curves, lengths, alignment, costs, maps = (panels for _, panels in of_tasks[: len(HEADINGS)])
    measure = bars[0]["config"]["metrics"][0].removeprefix("test/")
    assert measure in PLOTTED
    spans = [f"test/{measure}", f"test/trained/{measure}", f"test/beyond/{measure}"]
    assert [bar["config"]["metrics"] for bar in bars] == [[name] for name in spans]
    for panel in (*bars, *curves):
        config = panel["config"]
        assert (config["groupBy"], config["groupAgg"], config["groupArea"]) == (
            "choices.value.attention",
            "mean",
            "stderr",
        )
    assert {curve["config"]["xAxis"] for curve in curves} == {"tokens"}
    assert [chart["config"]["fieldSettings"]["y"] for chart in lengths] == list(PLOTTED)
    assert all('"by_length"' in json.dumps(chart["config"]["userQuery"]) for chart in lengths)
    assert [(plot["config"]["xAxis"], plot["config"]["yAxis"]) for plot in (*alignment, *costs)] == [
        ("summary:test/forced/alignment_accuracy", f"summary:{spans[0]}"),
        ("summary:cost/peak_bytes", f"summary:{spans[2]}"),
        ("summary:cost/seconds_per_step", f"summary:{spans[2]}"),
    ]
    assert maps[0]["config"]["mediaKeys"] == [f"alignments/{i}" for i in range(4)]

    # The workspace: the same panels, each once, over all runs of the experiment.
    section = json.loads(view["spec"])["section"]
    assert filters(section["runSets"][0]) == [group]
    assert [key["name"] for key in section["runSets"][0]["grouping"]] == [
        "choices.value.task",
        "choices.value.attention",
    ]
    assert [part["name"] for part in section["panelBankConfig"]["sections"]] == HEADINGS
    assert section["settings"]["xAxis"] == "tokens"


def test_without_the_package_the_error_names_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(UserError, match="make setup"):
        wandb_report.main(["experiment=bottleneck", f"runs_dir={tmp_path}"])


def test_an_unknown_experiment_is_reported_with_the_nearest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: object())
    with pytest.raises(UserError, match="bottleneck"):
        wandb_report.main(["experiment=bottlenek", f"runs_dir={fake_runs.make(tmp_path / 'runs')}"])
