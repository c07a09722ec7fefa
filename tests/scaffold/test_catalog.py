from pathlib import Path

import pytest

from scaffold import catalog, source
from scaffold.errors import UsageError


def test_a_checkout_finds_templates_and_runtime_beside_the_package() -> None:
    assert (source.ROOT / "templates" / "project").is_dir()
    assert (source.runtime_folder() / "pyproject.toml").is_file()


def test_tasks_are_the_folders(own_house: Path) -> None:
    assert catalog.task_names() == ["tiny"]
    (own_house / "templates" / "tasks" / "another").mkdir()
    (own_house / "templates" / "tasks" / "__pycache__").mkdir()
    (own_house / "templates" / "tasks" / "README.md").touch()
    assert catalog.task_names() == ["another", "tiny"]


@pytest.mark.parametrize("name", ["tinny", "../tiny", "", "{{ x }}", "t\nt", "x" * 300])
def test_an_unknown_task_is_refused_in_one_line(house: Path, name: str) -> None:
    with pytest.raises(UsageError, match="tiny") as error:
        catalog.task(name)
    assert str(error.value).isprintable()
