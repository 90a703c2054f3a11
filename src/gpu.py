"""Test and time softlookup on this machine's GPU, in one report.

make gpu                                       all sections, in at most 8 minutes, into runs/gpu.json
python src/gpu.py minutes=4 output=FILE        in less time, into another file
python src/gpu.py sections=tests,memory        some of the sections
python src/gpu.py device=cpu minutes=3         a rehearsal without a GPU, with small sizes

It runs from src/ with the Python of the machine, which needs torch 2.11 or newer; `make gpu-wheels` collects what else
such a machine may lack. Every section runs in a process of its own: one that fails or takes too long is reported as
such, with what it had found.

minutes=8             minutes for all sections together
output=runs/gpu.json  the file with all figures
device=cuda           cuda, or cpu for a rehearsal
sections=NAME,NAME    machine, tests, throughput, memory, sweep, kernel
seconds=N             measure a single section in this process, within about N seconds
"""

import pkgutil
import sys
import tempfile
from pathlib import Path

import torch
from rich.console import Console

from softlookup.config.command_line import whole
from softlookup.errors import UserError, key_values, nearest
from softlookup.runs.run_folder import json_of
from softlookup.system import atomic_files, entry_point
from softlookup.timing.gpu.report import table
from softlookup.timing.gpu.sections import Job, Section, run_all, write

_PACKAGE = "softlookup.timing.gpu"
SECTIONS = (
    Section("machine", f"{_PACKAGE}.machine:measure", 30),
    Section("tests", f"{_PACKAGE}.correctness:measure", 140),
    Section("throughput", f"{_PACKAGE}.throughput:measure", 130),
    Section("memory", f"{_PACKAGE}.memory:measure", 30),
    Section("sweep", f"{_PACKAGE}.sweep:measure", 140),
    Section("kernel", f"{_PACKAGE}.kernel:measure", 10),
)
_MINUTES = "8"


def main(arguments: list[str]) -> None:
    """Run the sections, write the file, and print the table. Raises UserError for a mistake in the arguments."""
    given = key_values(arguments, ("minutes", "output", "device", "sections", "seconds"))
    device = given.get("device", "cuda")
    if device not in ("cuda", "cpu"):
        raise UserError(f"device={device}: expected cuda, or cpu for a rehearsal")
    names = [section.name for section in SECTIONS]
    wanted = given["sections"].split(",") if "sections" in given else names
    for name in wanted:
        if name not in names:
            raise UserError(f"sections={given['sections']}: there is no section {name}; {nearest(name, names)}")
    sections = [section for section in SECTIONS if section.name in wanted]
    output = Path(given.get("output", Path(__file__).parents[1] / "runs" / "gpu.json")).absolute()
    if "seconds" in given:
        if len(sections) != 1:
            raise UserError(f"seconds={given['seconds']}: measures one section; give sections=NAME")
        job = Job(device, whole("seconds", given["seconds"], 0, 3600))
        write(pkgutil.resolve_name(sections[0].measure), job, output)
        return
    minutes = whole("minutes", given.get("minutes", _MINUTES), 2, 60)
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("device=cuda: torch sees no GPU on this machine; device=cpu rehearses without one")

    def command(section: Section, limit: float, file: Path) -> list[str]:
        own = (f"sections={section.name}", f"device={device}", f"seconds={int(limit)}", f"output={file}")
        return [sys.executable, __file__, *own]

    with tempfile.TemporaryDirectory() as folder:
        results = run_all(sections, command, minutes, Path(folder))
    atomic_files.write(output, json_of({"device": device, "minutes": minutes, "sections": results}))
    console = Console(width=None if sys.stdout.isatty() else 150, highlight=False)
    console.print(table(results))
    print(f"all figures: {output}")


if __name__ == "__main__":
    entry_point.run(main, __doc__, product=True)
