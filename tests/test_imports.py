"""Each layer imports only those below it."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
PACKAGE = SOURCE / "softlookup"

GROUPS = {"attention", "normalizer", "window", "encoder", "decoder", "task", "segmentation", "curriculum"}
GROUPS |= {"metrics", "initialization", "optimizer", "schedule"}
BASE = {
    "errors",
    "entry",
    "form",
    "words",
    "languages",
    "vocabulary",
    "lifting",
    "pharaoh",
    "contract",
    "positions",
    "self_attention",
    "durable",
    "cache",
    "stream",
}
# What anything above the groups may use: runs by name, locks, memory, signals, seeds, what passes between processes.
GROUND = {"identity", "lock", "memory", "seeds", "processes", "stop"}
# What each module above the groups may import besides BASE, GROUND and what stands here.
ABOVE = {
    "seq2seq": set(),
    "search": {"seq2seq"},
    "batch": set(),
    "cadence": set(),
    "data": {"batch", "cadence"},
    "averaging": set(),
    "update": {"seq2seq"},
    "watching": set(),
    "excerpt": {"batch", "metrics", "search", "seq2seq"},
    "training": {"averaging", "cadence", "seq2seq", "update", "watching"},
    "progress": {"training"},
    "cost": set(),
    "evaluation": {"batch", "seq2seq", "search", "metrics"},
    "checkpoint": set(),
    "provenance": set(),
    "config": {"command", "lineage", "offer", "parts", "schema", "unused"},
    "schema": set(),
    "record": set(),
    "plan": {"record"},
    "heatmap": set(),
    "unused": {"offer"},
    "board": {"record"},
    "worker": {"record"},
    "sweep": {"board", "record", "worker"},
    "report": {"style", "tables"},
    "labels": set(),
    "timed": {"stored"},
    "pairs": {"compare", "labels", "results"},
    "mirror": set(),
    "tracking": {"heatmap", "mirror"},
    "roles": {"seq2seq"},
    "construct": {"config", "roles", "seq2seq", "update"},
    "timing": {"board", "provenance", "record", "worker"},
    "stopwatch": {"construct", "origin", "probe", "record", "seq2seq", "timing"},
    "probe": {"batch", "config", "construct", "seq2seq", "update"},
    "company": set(),
    "command": {"offer", "schema"},
    "offer": set(),
    "parts": {"offer", "schema", "search", "tracking", "unused"},
    "stored": set(),
    "export": {"compare", "pairs", "results", "tables"},
    "trained": {"checkpoint", "construct", "finding", "parts", "seq2seq"},
    "translator": {"batch", "metrics", "search", "trained", "weights"},
    "exams": {"config", "task", "trained"},
    "evaluate": {
        "batch",
        "config",
        "construct",
        "decoding",
        "evaluation",
        "exams",
        "finding",
        "metrics",
        "provenance",
        "record",
        "search",
        "trained",
        "weights",
    },
    "decoding": {"command", "config", "offer", "parts", "search"},
    "weights": {"batch", "seq2seq"},
    "heatpage": {"heatmap"},
    "translate": {
        "construct",
        "decoding",
        "finding",
        "heatmap",
        "heatpage",
        "metrics",
        "trained",
        "translator",
        "weights",
    },
    "silver": {"metrics"},
    "finding": {"record", "stored"},
    "lineage": {"finding", "schema"},
    "origin": {"config", "lineage", "segmentation", "seq2seq", "trained"},
    "outcome": {"lineage", "training"},
    "going_on": {"checkpoint", "finding", "lineage", "training"},
    "fit": {
        "checkpoint",
        "config",
        "construct",
        "data",
        "excerpt",
        "going_on",
        "lineage",
        "progress",
        "search",
        "seq2seq",
        "training",
        "watching",
    },
}
# Third-party packages that belong to few modules.
ONLY_IN = {
    "wandb": {"tracking"},
    "hydra": {"config", "command", "train", "launcher"},
    "pytorch_lightning": {"training", "data", "fit", "progress"},
    "submitit": {"launcher"},
    "entmax": {"normalizer"},
    "plotly": {"charts", "page", "style"},
    "sacrebleu": {"metrics", "words", "languages"},
    "sacremoses": {"metrics"},
    "tokenizers": {"segmentation", "vocabulary"},
}
NO_TORCH = {
    "schema",
    "finding",
    "lineage",
    "durable",
    "lock",
    "memory",
    "mirror",
    "stop",
    "identity",
    "record",
    "plan",
    "board",
    "worker",
    "sweep",
    "provenance",
    "timing",
    "report",
    "results",
    "stored",
    "labels",
    "timed",
    "export",
    "compare",
    "pairs",
    "charts",
    "heatchart",
    "page",
    "style",
    "tables",
    "picture",
    "errors",
    "entry",
    "form",
    "vocabulary",
    "words",
    "languages",
    "cache",
    "stream",
}

FILES = sorted(SOURCE.rglob("*.py"))


def layer(path: Path) -> str:
    """The group of a file, or the module's own name."""
    if "hydra_plugins" in path.parts:
        return "launcher"
    inside = path.relative_to(PACKAGE if path.is_relative_to(PACKAGE) else SOURCE)
    return inside.parts[0].removesuffix(".py")


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path} has a relative import"
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def ours(path: Path) -> set[str]:
    names = {name.split(".")[1] for name in imports(path) if name.startswith("softlookup.")}
    known = {layer(file) for file in FILES if file.is_relative_to(PACKAGE)}
    return names & known


def identity(path: Path) -> str:
    return str(path.relative_to(SOURCE))


@pytest.mark.parametrize("path", FILES, ids=identity)
def test_a_group_imports_itself_and_the_base_alone(path: Path) -> None:
    own = layer(path)
    if own in GROUPS:
        assert ours(path) <= BASE | {own}
    elif own in BASE:
        assert ours(path) <= BASE
    elif own in GROUND:
        assert ours(path) <= {"errors"}
    elif own in ABOVE and path.is_relative_to(PACKAGE):
        assert ours(path) <= BASE | GROUND | {own} | ABOVE[own]


@pytest.mark.parametrize("path", FILES, ids=identity)
def test_a_package_with_one_home_is_imported_there_alone(path: Path) -> None:
    roots = {name.split(".")[0] for name in imports(path)}
    for package, homes in ONLY_IN.items():
        assert package not in roots or layer(path) in homes, f"{package} belongs to {sorted(homes)}"


@pytest.mark.parametrize("path", [file for file in FILES if layer(file) in NO_TORCH], ids=identity)
def test_results_and_charts_never_import_torch(path: Path) -> None:
    roots = {name.split(".")[0] for name in imports(path)}
    assert not roots & {"torch", "pytorch_lightning", "torchmetrics"}
    assert ours(path) <= NO_TORCH
