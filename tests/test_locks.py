"""Lock files: every package has hashes, and an audit that could not check anything fails."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TORCH = ROOT / "requirements-torch.lock"
HASHED = sorted({*ROOT.glob("requirements*.lock"), *ROOT.glob("src/peers/*.lock")} - {TORCH})
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def _named(requirement):
    return re.split(r"[\[<>=!~; ]", requirement)[0].lower().replace("_", "-").replace(".", "-")


def _requirements(path):
    """Return the hashes of each package of a lock file, by name and version."""
    found, last = {}, None
    for line in path.read_text().splitlines():
        if hashed := re.fullmatch(r" +--hash=sha256:([0-9a-f]{64})(?: \\)?", line):
            found[last].append(hashed[1])
        elif line and not line.lstrip().startswith("#"):
            last = re.fullmatch(r"([a-z0-9.-]+==[^ ;]+)(?: ; [^\\]*?)?(?: \\)?", line)[1]
            assert last not in found
            found[last] = []
    return found


@pytest.mark.parametrize("path", HASHED, ids=lambda path: path.name)
def test_every_locked_package_has_hashes_and_no_lock_has_torch(path):
    found = _requirements(path)
    assert len(found) > 10
    assert [name for name, hashes in found.items() if not hashes] == []
    assert not any(re.match("torch==|nvidia-|cuda-|triton==", name) for name in found)


def test_the_lock_has_every_dependency_of_the_project():
    project = PROJECT["project"]
    dependencies = [
        *project["dependencies"],
        *project["optional-dependencies"]["dev"],
        *project["optional-dependencies"]["slurm"],
    ]
    locked = {_named(name) for name in _requirements(ROOT / "requirements.lock")}
    assert {_named(name) for name in dependencies} - locked == {"torch"}
    # Needed to build the project and packages without a wheel.
    assert "setuptools" in locked
    tools = {_named(name) for name in _requirements(ROOT / "requirements-tools.lock")}
    assert {_named(name) for name in PROJECT["dependency-groups"]["tools"]} <= tools


@pytest.mark.parametrize("peer", ["joeynmt", "opennmt-py", "eole", "ctranslate2"])
def test_a_peer_is_locked_at_its_listed_versions(peer):
    lines = (ROOT / "src" / "peers" / f"{peer}.txt").read_text().splitlines()
    listed = {(_named(line), line.split("==")[1]) for line in lines if not line.startswith("#")}
    locked = {(_named(name), name.split("==")[1]) for name in _requirements(ROOT / "src" / "peers" / f"{peer}.lock")}
    assert {name for name, _ in listed - locked} == {"torch"}
    assert locked <= listed


def test_torch_is_pinned_without_a_build_tag():
    lines = [line for line in TORCH.read_text().splitlines() if not line.startswith("#")]
    assert [line for line in lines if re.fullmatch(r"torch==\d+\.\d+\.\d+", line)]
    locked = {_named(name) for name in _requirements(ROOT / "requirements.lock")}
    assert not locked & {_named(line) for line in lines}
    assert all("==" in line for line in lines)


def test_every_package_except_those_of_torch_is_installed_by_hash():
    makefile = (ROOT / "Makefile").read_text()
    variables = dict(re.findall(r"^(\w+) :?= (.*)$", makefile, re.M))
    assert "--require-hashes" in variables["HASHED"]
    assert "--no-deps" in variables["HASHED"]
    commands = re.findall(r"^\t.*(?:\$\(PIP\)|\$\(HASHED\)|pip install).*$", makefile, re.M)
    free = [line.strip() for line in commands if "$(HASHED)" not in line]
    assert free == [
        "$(PY) $(PIP) --no-compile $(TORCH)",
        "$(PY) $(PIP) --no-deps --no-build-isolation --editable .",
        "$(PEERS)/$*/bin/python $(PIP) --no-deps $(TORCH)",
    ]


@pytest.fixture
def audit(tmp_path):
    """Return a function that runs `make audit` with a fake pip-audit and gives exit code, output and errors."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.lock").write_text(
        "one==1.2 \\\n    --hash=sha256:00\n    # via two\nsix==1 ; a == 'b' \\\n"
    )
    (tmp_path / "requirements-tools.lock").write_text("three==3\n")
    program = tmp_path / ".tools" / "bin" / "pip-audit"
    program.parent.mkdir(parents=True)

    def audited(script):
        program.write_text(f'#!/bin/sh\nwhile [ "$1" != --output ]; do shift; done\n{script}\n')
        program.chmod(0o755)
        (tmp_path / ".tools" / ".ready").touch()
        done = subprocess.run(["make", "-s", "audit"], cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout, done.stderr.splitlines()[:1]

    return audited


def test_an_audit_that_checked_nothing_fails_with_a_message(audit):
    code, out, error = audit("echo no network >&2; exit 1")
    assert (code, out, error) == (2, "", ["nothing was checked: requirements.lock: no network"])


def test_an_audit_reports_the_findings_of_every_lock(audit):
    code, out, _ = audit("echo none known >&2")
    assert (code, out) == (0, "requirements.lock: none known\nrequirements-tools.lock: none known\n")
    code, out, _ = audit('echo 1 known >&2; cp .tools/versions.txt "$2"; exit 1')
    assert code == 2
    assert (
        out == "requirements.lock: 1 known\none==1.2\nsix==1 ; a == 'b'\nrequirements-tools.lock: 1 known\nthree==3\n"
    )
