"""Make a workspace (a saved view) and a report of an experiment on W&B, where its runs were uploaded.

python src/wandb_report.py experiment=NAME [runs_dir=runs] [entity=NAME] [project=softlookup] [base_url=URL]

experiment=NAME     folder in runs_dir; its runs' group on W&B
runs_dir=DIR        folder of the runs
entity=NAME         user or team on W&B (default: that of your key)
project=NAME        project on W&B
base_url=URL        W&B's server (default: wandb's own setting)

Both are also written to RUNS_DIR/NAME/wandb_report.json; without a key (wandb login) nothing is sent. Sentences and
tables are computed from runs_dir, panels by W&B from the runs that it has.
"""

from softlookup.system.entry_point import announce

if __name__ == "__main__":
    announce("reading the results …")

import importlib.util
from pathlib import Path

import pandas as pd

from softlookup.analysis.effect_table import effect_tables
from softlookup.analysis.effects import TOKENS, primary
from softlookup.analysis.headline import findings
from softlookup.analysis.load import read
from softlookup.errors import UserError, key_values, nearest, shell_quote
from softlookup.runs.run_folder import json_of
from softlookup.system import atomic_files, entry_point
from softlookup.tracking import wandb_report

KEYS = {"experiment": "", "runs_dir": "runs", "entity": "", "project": "softlookup", "base_url": ""}


def sections(rows: pd.DataFrame) -> list[wandb_report.TaskSection]:
    """Return the sentences and tables of each task of an experiment, as at the end of its sweep."""
    effects = primary(rows)
    answers, drawn = findings(rows, effects), effect_tables(rows)
    tasks = sorted(rows["task"].unique())
    found = []
    for task in tasks:
        measures = effects.loc[effects["task"] == task, "measure"]
        found.append(
            wandb_report.TaskSection(
                task=task,
                sentences=[str(answer) for answer in answers if answer.task == task],
                tables=[
                    wandb_report.markdown(table.title, table.columns, table.lines, table.notes)
                    for table in drawn
                    if table.task == task
                ],
                measure=str(measures.iloc[0]) if len(measures) else TOKENS,
            )
        )
    return found


def main(arguments: list[str]) -> None:
    """Write the definition and send it; print where it is, and without a key how to send it. Raises UserError for wrong
    arguments, a missing package, and a server that does not take it."""
    given = KEYS | key_values(arguments, KEYS)
    runs_dir, experiment, project = Path(given["runs_dir"]).expanduser(), given["experiment"], given["project"]
    if importlib.util.find_spec("wandb_workspaces") is None:
        raise UserError("wandb-workspaces is not installed; type: make setup")
    rows = read(runs_dir)
    names = sorted(rows["experiment"].unique())
    if experiment not in names:
        raise UserError(f"experiment={experiment} has no runs in {runs_dir}; {nearest(experiment, names)}")
    tasks = sections(rows[rows["experiment"] == experiment])
    command = " ".join(f"{key}={shell_quote(value)}" for key, value in given.items() if value)
    again = f"to send it: wandb login; .venv/bin/python src/wandb_report.py {command}"
    path = runs_dir / experiment / "wandb_report.json"
    atomic_files.write(path, json_of(wandb_report.definition(*wandb_report.built(experiment, "", project, tasks))))
    print(path)
    try:
        entity = wandb_report.account(given["base_url"])
        if not entity:
            print(f"W&B has no key of yours, so nothing was sent; {again}")
            return
        for address in wandb_report.send(*wandb_report.built(experiment, given["entity"] or entity, project, tasks)):
            print(address)
    except Exception as error:  # of wandb, of its server, or of the network
        reason = f"{type(error).__name__}: {error}".split("\n")[0][:200]
        raise UserError(f"W&B did not take the report ({reason}); it is in {path}; {again}") from error


if __name__ == "__main__":
    entry_point.run(main, __doc__)
