"""Define what W&B shows of an experiment: a workspace (a saved view of the project) and a report. Needs the package
wandb-workspaces.

Runs are found by what `Tracker` writes: the group is the experiment, and the summary of a finished run names its task.
They are grouped by attention, so that curves and bars are means over seeds, with the standard error as band.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from softlookup.tracking.wandb_values import PLOTTED, TABLE

ATTENTION = "choices.attention"
LOSS = "validation/loss"
STEP = "tokens"
ALIGNMENT = "test/forced/alignment_accuracy"
MEMORY, TIME = "cost/peak_bytes", "cost/seconds_per_step"
COSTS = {MEMORY: "peak memory of a training step", TIME: "wall time of a step, on a machine that runs may share"}
IMAGES = [f"alignments/{i}" for i in range(4)]
ENDED_BADLY = ["failed", "crashed", "killed"]
COLUMNS = ["run:displayName", "run:state", "summary:test/token_accuracy", f"summary:{ALIGNMENT}", f"summary:{MEMORY}",
           f"summary:{TIME}", "config:seed.value", "config:folder.value", "config:commit.value"]  # fmt: skip


@dataclass(frozen=True)
class TaskSection:
    """Hold the text about one task: its sentences, its tables of effects in Markdown, and the measure to compare by."""

    task: str
    sentences: Sequence[str]
    tables: Sequence[str]
    measure: str


def markdown(title: str, columns: Sequence[str], lines: Sequence[Sequence[str]], notes: Sequence[str]) -> str:
    """Return a table in Markdown, with its title above and its notes below.

    >>> print(markdown("copy", ["a", "b"], [["1", "x|y"]], []))
    **copy**
    <BLANKLINE>
    | a | b |
    | --- | --- |
    | 1 | x\\|y |
    """
    rows = [columns, ["---"] * len(columns), *lines]
    table = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    return "\n".join([f"**{title}**", "", *table, *(line for note in notes for line in ("", note))])


def panels(measure: str) -> dict[str, list[Any]]:
    """Return the panels by heading; `measure` is that of the task, as in `token_accuracy`."""
    import wandb_workspaces.reports.v2 as wr

    beyond, whole = f"test/beyond/{measure}", f"test/{measure}"
    over_seeds: dict[str, Any] = {
        "groupby": wr.Config(ATTENTION), "groupby_aggfunc": "mean", "groupby_rangefunc": "stderr",
    }  # fmt: skip
    bars = {f"{whole}": "all lengths", f"test/trained/{measure}": "up to the training length", beyond: "beyond it"}
    curves = [LOSS, "validation/token_accuracy", "train/loss"]
    return {
        "Effect of attention": [
            wr.BarPlot(title=f"{measure}, {where}: mean and standard error over seeds", metrics=[name], **over_seeds)
            for name, where in bars.items()
        ],
        "Means over seeds": [
            wr.LinePlot(title=f"{name}: mean and standard error over seeds", x=STEP, y=[name], title_x="target tokens",
                        **over_seeds)
            for name in curves
        ],
        "Quality by length": [
            wr.CustomChart(
                query={"_defaultColorIndex": [], "summaryTable": {"tableKey": TABLE}},
                chart_name="wandb/line/v0",
                chart_fields={"x": "length", "y": name, "stroke": None},
                chart_strings={"title": f"{name} by source length"},
            )
            for name in PLOTTED
        ],
        "Alignment beside accuracy": [
            wr.ScatterPlot(title=f"{whole} against alignment accuracy (teacher forcing)",
                           x=wr.SummaryMetric(ALIGNMENT), y=wr.SummaryMetric(whole)),
        ],
        "Quality against memory and time": [
            wr.ScatterPlot(title=f"{beyond} against {what}", x=wr.SummaryMetric(cost), y=wr.SummaryMetric(beyond))
            for cost, what in COSTS.items()
        ],
        "Alignments": [wr.MediaBrowser(title="heat maps, one row for a run", media_keys=IMAGES, num_columns=4)],
    }  # fmt: skip


def built(experiment: str, entity: str, project: str, tasks: Sequence[TaskSection]) -> tuple[Any, Any]:
    """Return the workspace and the report of an experiment. `entity` is "" for a definition that is not sent: its run
    sets are those of the report's own project."""
    measures = list(dict.fromkeys(section.measure for section in tasks))
    return workspace(experiment, entity, project, measures), report(experiment, entity, project, tasks)


def workspace(experiment: str, entity: str, project: str, measures: Sequence[str]) -> Any:
    """Return the saved view of an experiment: its runs, grouped by task and attention, with a section for each
    question; its panels are those of the tasks' `measures`, each once."""
    import wandb_workspaces.workspaces as ws

    sections: dict[str, list[Any]] = {}
    for measure in measures:
        for heading, shown in panels(measure).items():
            kept = sections.setdefault(heading, [])
            kept += [panel for panel in shown if _content(panel) not in map(_content, kept)]
    return ws.Workspace(
        entity=entity,
        project=project,
        name=f"softlookup {experiment}",
        sections=[
            ws.Section(name=heading, panels=shown, is_open=True, layout_settings=ws.SectionLayoutSettings(columns=3))
            for heading, shown in sections.items()
        ],
        settings=ws.WorkspaceSettings(x_axis=STEP),
        runset_settings=ws.RunsetSettings(
            filters=[ws.Metric("Group") == experiment],
            groupby=[ws.Config("choices.task"), ws.Config(ATTENTION)],
            pinned_columns=list(COLUMNS),
        ),
    )


def report(experiment: str, entity: str, project: str, tasks: Sequence[TaskSection]) -> Any:
    """Return the report of an experiment: for each task its sentences, effects and panels; then failed runs."""
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    def runset(name: str, *filters: Any, **settings: Any) -> Any:
        chosen = [ws.Metric("Group") == experiment, *filters]
        return wr.Runset(entity=entity, project=project if entity else "", name=name, filters=chosen, **settings)

    blocks: list[Any] = [wr.TableOfContents()]
    for section in tasks:
        finished = (
            ws.Summary("choices/task") == section.task
        )  # a tag would do as well, but wandb-workspaces doubles its =
        runs = runset(section.task, finished, groupby=[f"config.{ATTENTION}"])
        blocks += [wr.H1(section.task), *(wr.MarkdownBlock(f"> {text}") for text in section.sentences)]
        blocks += [wr.MarkdownBlock(table) for table in section.tables]
        for heading, shown in panels(section.measure).items():
            placed = [_placed(panel, i) for i, panel in enumerate(shown)]
            blocks += [wr.H2(heading), wr.PanelGrid(runsets=[runs], panels=placed)]
    failed = runset("failed runs", ws.Metric("State").isin(ENDED_BADLY), pinned_columns=[*COLUMNS, "summary:reason"])
    blocks += [wr.H1("Failed runs"), wr.P("They are in no mean. `reason` says why each ended, `folder` where it is.")]
    blocks += [wr.PanelGrid(runsets=[failed], panels=[_placed(wr.RunComparer(diff_only="split"), 0)])]
    return wr.Report(
        project=project,
        entity=entity,
        title=f"What attention buys in {experiment}",
        description=f"Made from the runs of {experiment} by make wandb-report.",
        blocks=blocks,
        width="fluid",
    )


def _content(panel: Any) -> dict[str, Any]:
    """Return what a panel shows, without its random id."""
    return dict(panel._to_model().model_dump(exclude={"id"}))


def _placed(panel: Any, place: int) -> Any:
    """Place a panel in a row of three, 24 columns wide."""
    import wandb_workspaces.reports.v2 as wr

    panel.layout = wr.Layout(x=8 * (place % 3), y=8 * (place // 3), w=8, h=8)
    return panel


def definition(view: Any, text: Any) -> dict[str, Any]:
    """Return workspace and report as W&B's app stores them."""
    models = {"workspace": view._to_model(), "report": text._to_model()}
    return {name: model.model_dump(mode="json", by_alias=True, exclude_none=True) for name, model in models.items()}


def account(base_url: str) -> str:
    """Return the default entity of the user's key at W&B's server (`base_url`, or wandb's own setting); "" without a
    key."""
    if base_url:
        os.environ["WANDB_BASE_URL"] = base_url
    import wandb

    wandb.setup(wandb.Settings(silent=True))
    return str(wandb.Api().default_entity) if wandb.login(prompt=False, verify=False) else ""


def send(view: Any, text: Any) -> list[str]:
    """Save a workspace and a report on W&B's server; return their addresses."""
    return [view.save().url, text.save().url]
