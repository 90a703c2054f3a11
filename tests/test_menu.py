"""The list of choices: it has the files of conf/, and `make check` compares conf/README.md with it."""

from pathlib import Path

import pytest

import menu
from softlookup.config import catalog
from softlookup.config.components import part_of
from softlookup.errors import UserError


def test_a_new_file_is_offered_at_once(conf: Path) -> None:
    before = catalog.groups()
    (conf / "task" / "new.yaml").write_text("# The newest of tasks.\n_target_: softlookup.task.copy.Copy\n")
    (conf / "hydra" / "launcher" / "new.yaml").write_text(
        "_target_: hydra_plugins.softlookup_launcher.local.LocalLauncher"
    )
    assert set(catalog.groups()["task"]) - set(before["task"]) == {"new"}
    assert {"basic", "local", "new"} <= set(catalog.launchers())
    assert "| `new` | The newest of tasks. |" in menu.table()
    catalog.check_files()


def test_a_changed_file_is_read_again(conf: Path) -> None:
    catalog.check_files()
    file = conf / "task" / "copy.yaml"
    file.write_text(file.read_text().replace("softlookup.task.copy.Copy", "os.system"))
    with pytest.raises(UserError, match=r"conf/task/copy\.yaml: task\._target_=os\.system: only code of softlookup"):
        catalog.check_files()


def test_a_folder_that_is_not_a_group_is_reported(conf: Path) -> None:
    (conf / "atention").mkdir()
    with pytest.raises(UserError, match=r"conf/atention: .* did you mean attention or segmentation"):
        [part_of(group) for group in catalog.groups() if group != "experiment"]


def test_only_files_with_the_package_line_are_offered_as_experiments(conf: Path) -> None:
    (conf / "experiment" / "other.yaml").write_text("program: src/train.py\nmethod: grid\n")
    (conf / "experiment" / "late.yaml").write_text("# a comment first\n# @package _global_\nseed: 1\n")
    (conf / "experiment" / "ours.yaml").write_text("# @package _global_\n# Question   Is it?\nseed: 1\n")
    assert not {"other", "late"} & set(catalog.groups()["experiment"])
    assert "| `ours` | Is it? |" in menu.table()


def test_the_menu_has_a_description_of_every_choice() -> None:
    for group, choices in catalog.groups().items():
        for choice in choices:
            assert menu.phrase(group, choice), f"conf/{group}/{choice}.yaml begins with no line of prose"


def test_an_outdated_list_is_reported_and_can_be_rewritten(conf: Path, tmp_path: Path) -> None:
    listing = tmp_path / "README.md"
    listing.write_text("before\n<!-- menu -->\nold\n<!-- /menu -->\nbehind\n")
    with pytest.raises(UserError, match="lists other choices than conf/ holds; type: make menu"):
        menu.main([f"check={listing}"])
    menu.main([f"write={listing}"])
    menu.main([f"check={listing}"])
    assert listing.read_text() == f"before\n<!-- menu -->\n{menu.table()}<!-- /menu -->\nbehind\n"
    (conf / "task" / "new.yaml").write_text("# The newest of tasks.\n_target_: softlookup.task.copy.Copy\n")
    with pytest.raises(UserError, match="type: make menu"):
        menu.main([f"check={listing}"])


@pytest.mark.parametrize("typed", [["write"], ["write=nowhere.md"], ["wrote=README.md"], ["write=README.md", "x"]])
def test_a_mistake_is_reported(typed: list[str]) -> None:
    with pytest.raises(UserError, match="expected nothing, or write=FILE or check=FILE"):
        menu.main(typed)
