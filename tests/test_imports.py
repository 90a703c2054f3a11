"""The import order of packages, and external packages that only certain packages may import."""

import ast
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src"
PACKAGE = SOURCE / "softlookup"

# Groups of choices, as in conf/: none imports another group.
CHOICES = {"attention", "normalizer", "window", "encoder", "decoder", "mixer", "task", "segmentation", "curriculum"}
CHOICES |= {"initialization", "optimizer", "schedule"}
# From the lowest to the highest. Those in one set do not import each other.
ORDER: list[set[str]] = [
    {"errors", "ranges", "group"}, {"system", "text"}, {"contract"}, {"fused", "layers"}, CHOICES, {"model"},
    {"search", "data", "heatmaps"}, {"evaluation", "tracking"}, {"config"}, {"runs"}, {"sweep", "analysis"},
    {"training", "dashboard", "tuning"}, {"inference"}, {"timing", "matching", "pricing"}, {"run"},
]  # fmt: skip
# External packages that only these packages may import.
ONLY_IN = {
    "wandb": {"tracking"},
    "wandb_workspaces": {"tracking"},
    "hydra": {"config", "train", "launcher"},
    "pytorch_lightning": {"training", "data"},
    "submitit": {"launcher"},
    "entmax": {"normalizer"},
    "sacrebleu": {"evaluation", "text"},
    "sacremoses": {"evaluation"},
    "tokenizers": {"segmentation", "text"},
}
# Dashboards and sweeps do not need torch, which takes seconds to import.
NO_TORCH = {"errors", "ranges", "group", "text", "heatmaps", "runs", "sweep", "analysis", "dashboard", "tracking"}
NO_TORCH |= {
    f"system/{name}.py"
    for name in ("atomic_files", "content_cache", "entry_point", "environment", "lock", "memory", "signals")
}
NO_TORCH |= {f"config/{name}.py" for name in ("catalog", "components", "run_config", "settings", "values")}
NO_TORCH |= {"timing/plan.py", "tuning"}

SOURCES = sorted(SOURCE.rglob("*.py"))


def package(path: Path) -> str:
    """Return the package of a file: the first name below softlookup, or the name of the program."""
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
    """Return the packages of softlookup that a file imports."""
    known = {name for names in ORDER for name in names}
    return {name.split(".")[1] for name in imports(path) if name.startswith("softlookup.")} & known


def relative(path: Path) -> str:
    return str(path.relative_to(SOURCE))


def test_every_package_is_in_the_import_order() -> None:
    found = {package(path) for path in SOURCES if path.is_relative_to(PACKAGE)} - {"__init__"}
    assert found == {name for names in ORDER for name in names}


@pytest.mark.parametrize("path", [file for file in SOURCES if file.is_relative_to(PACKAGE)], ids=relative)
def test_a_package_imports_only_earlier_packages(path: Path) -> None:
    own = package(path)
    place = next((i for i, names in enumerate(ORDER) if own in names), 0)
    assert ours(path) <= {own}.union(*ORDER[:place])


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_an_external_package_is_imported_only_where_allowed(path: Path) -> None:
    roots = {name.split(".")[0] for name in imports(path)}
    for name, homes in ONLY_IN.items():
        assert name not in roots or package(path) in homes, f"{name} may be imported only by {sorted(homes)}"


def needs_no_torch(path: Path) -> bool:
    return path.is_relative_to(PACKAGE) and bool({package(path), str(path.relative_to(PACKAGE))} & NO_TORCH)


@pytest.mark.parametrize("path", [file for file in SOURCES if needs_no_torch(file)], ids=relative)
def test_results_and_charts_never_import_torch(path: Path) -> None:
    assert not {name.split(".")[0] for name in imports(path)} & {"torch", "pytorch_lightning", "torchmetrics"}
    for name in imports(path):
        file = SOURCE.joinpath(*name.split(".")).with_suffix(".py")
        assert not file.is_file() or not file.is_relative_to(PACKAGE) or needs_no_torch(file), name
