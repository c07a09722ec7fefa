from pathlib import Path

import pytest

from scaffold import vendor
from scaffold.errors import ScaffoldError

FOLDER = "vendor/torch-scaffold-runtime"


def test_the_runtime_is_a_package_of_its_own(house: Path) -> None:
    assert set(vendor.runtime_tree()) == {
        f"{FOLDER}/LICENSE",
        f"{FOLDER}/README.md",
        f"{FOLDER}/pyproject.toml",
        f"{FOLDER}/scaffold_runtime/__init__.py",
    }


def test_caches_are_left_out(own_house: Path) -> None:
    cache = own_house / "runtime" / "scaffold_runtime" / "__pycache__"
    cache.mkdir()
    (cache / "x.pyc").write_bytes(b"\0")
    assert not any("__pycache__" in path for path in vendor.runtime_tree())


def test_the_version_is_read_without_importing(own_house: Path) -> None:
    init = own_house / "runtime" / "scaffold_runtime" / "__init__.py"
    init.write_text('raise SystemExit\n__version__: str = "1.20.3"\n')
    assert vendor.runtime_version() == "1.20.3"


def test_a_runtime_without_a_version_is_refused(own_house: Path) -> None:
    init = own_house / "runtime" / "scaffold_runtime" / "__init__.py"
    init.write_text("")
    with pytest.raises(ScaffoldError, match="reinstall"):
        vendor.runtime_version()
