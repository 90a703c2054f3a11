"""Rewrite the W&B files of finished runs from the runs' own files, or upload the runs.

python src/resync.py [experiment=NAME] [runs_dir=runs]   write files where they are missing or incomplete, and for runs
                                                         that had tracking=disabled
python src/resync.py mode=online                         upload the runs that the server does not have completely
python src/resync.py all=true                            include runs that are complete

runs_dir=DIR        folder of the runs
experiment=NAME     only this folder in runs_dir
mode=offline|online write files, or upload to the server
all=true|false      all finished runs, or only incomplete ones
"""

from softlookup.system.entry_point import announce

if __name__ == "__main__":
    announce("reading the runs …")

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from softlookup.analysis.load import alignments
from softlookup.config.command_line import truth
from softlookup.config.run_config import RunConfig
from softlookup.errors import UserError, key_values, nearest, shell_quote
from softlookup.runs.run_folder import RunFolder
from softlookup.runs.tracked import tracked
from softlookup.system import entry_point
from softlookup.tracking import wandb_files
from softlookup.tracking.wandb_tracker import Tracker

KEYS = {"experiment": "", "runs_dir": "runs", "mode": "offline", "all": "false"}
MODES = ("offline", "online")


def parsed(arguments: list[str]) -> dict[str, Any]:
    """Return the values of all keys. Raises UserError for an argument that is not KEY=VALUE with a known key."""
    given = KEYS | key_values(arguments, KEYS)
    if given["mode"] not in MODES:
        raise UserError(f"mode={given['mode']}: {nearest(given['mode'], MODES)}")
    return given | {"all": truth("all", given["all"])}


def finished(runs_dir: Path, experiment: str) -> Iterator[tuple[RunFolder, dict[str, Any]]]:
    """Yield the finished runs with their result rows. Raises UserError where there is no such folder."""
    offered = sorted(path.name for path in runs_dir.iterdir() if path.is_dir()) if runs_dir.is_dir() else []
    if not offered:
        raise UserError(f"no runs in {runs_dir}: expected folders {runs_dir}/EXPERIMENT/RUN; type: make sweep")
    if experiment and experiment not in offered:
        raise UserError(f"{runs_dir} has no experiment {experiment!r}; {nearest(experiment, offered)}")
    for name in [experiment] if experiment else offered:
        for path in sorted((runs_dir / name).glob("*/result.json")):
            folder = RunFolder(path.parent)
            row = folder.result()
            if row is not None:
                yield folder, row


def lost(folder: RunFolder, mode: str) -> bool:
    """Return whether W&B lacks the run: on the server if mode is online, in its files if offline (unless uploaded)."""
    logs = wandb_files.logs(folder.path)
    if any(map(wandb_files.uploaded, logs)):
        return False
    steps = [record["step"] for record in folder.records()]
    return mode == "online" or not any(wandb_files.holds(log, steps) for log in logs)


def rebuild(folder: RunFolder, row: dict[str, Any], mode: str) -> list[str]:
    """Write one run to W&B again from its own files; return error messages."""
    config = RunConfig.of(yaml.safe_load((folder.path / "config.yaml").read_text(encoding="utf-8")))
    tracker = Tracker(mode, config.tracking["project"])
    tracker.start(folder.path, **tracked(config, folder, row.get("provenance", {})), history=folder.records())
    tracker.finish(row, alignments(folder.path))
    return tracker.messages


def main(arguments: list[str]) -> int:
    """Rewrite or upload the runs; return the exit code: 0 W&B has all of them, 1 an error occurred."""
    given = parsed(arguments)
    mode = given["mode"]
    runs = list(finished(Path(given["runs_dir"]).expanduser(), given["experiment"]))
    wanted = [(folder, row) for folder, row in runs if given["all"] or lost(folder, mode)]
    done = 0
    for i, (folder, row) in enumerate(wanted, start=1):
        print(f"{i}/{len(wanted)} {folder.path.parent.name}/{folder.id}", flush=True)
        try:
            messages = rebuild(folder, row, mode)
        except (OSError, UserError, ValueError, KeyError, TypeError, yaml.YAMLError) as error:
            messages = [f"cannot be read: {type(error).__name__}: {error}".split("\n")[0]]
        done += not messages
        for message in messages:
            print(f"  {message}", flush=True)
        if messages and mode == "online":
            break  # other uploads would fail for the same reason, each after a timeout
    what = "sent to W&B" if mode == "online" else "written again"
    print(f"{done} of {len(runs)} finished runs {what}; {len(runs) - len(wanted)} were complete")
    if mode == "offline" and done:
        place = f"{shell_quote(given['runs_dir'])}/{shell_quote(given['experiment']) if given['experiment'] else '*'}"
        print(f"upload them with: wandb sync {place}/*/wandb/offline-run-*")
    return 0 if done == len(wanted) else 1


if __name__ == "__main__":
    entry_point.run(main, __doc__)
