from pathlib import Path

import pytest

from scaffold.errors import UntrustedError, UsageError
from scaffold.overrides import Components
from tests.scaffold.command_line import HOUSE, Run
from tests.scaffold.components import snapshot

STARTER = ".scaffold/templates/callback/starter"


@pytest.fixture
def overriding(project: Path) -> Path:
    """A project with a starter of its own."""
    folder = project / STARTER
    (folder / "files").mkdir(parents=True)
    ours = HOUSE / "templates" / "components" / "callback" / "starter"
    for name in ("template.toml", "wiring.toml"):
        (folder / name).write_text((ours / name).read_text())
    (folder / "files" / "{{ name }}.py").write_text("own = {{ python(class_name) }}\n")
    return project


def test_ours_needs_no_trust(project: Path) -> None:
    assert Components(project).template("callback", "starter").name == "starter"


def test_the_project_s_own_is_rendered_only_when_trusted(overriding: Path) -> None:
    with pytest.raises(UntrustedError, match=STARTER):
        Components(overriding).template("callback", "starter")
    trusted = Components(overriding, trusted=True).template("callback", "starter")
    assert trusted.folders == (overriding / STARTER,)


def test_a_project_can_have_variants_of_its_own(overriding: Path) -> None:
    (overriding / STARTER).rename(overriding / STARTER.replace("starter", "house"))
    components = Components(overriding, trusted=True)
    assert components.variants("callback") == ["early-stopping", "house", "starter"]
    assert components.template("callback", "house").name == "house"


@pytest.mark.parametrize("variant", ["../callback/starter", "", "."])
def test_a_variant_is_no_path(overriding: Path, variant: str) -> None:
    with pytest.raises(UsageError, match="there is no callback"):
        Components(overriding, trusted=True).template("callback", variant)


@pytest.fixture
def run(scaffold: Run, overriding: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(overriding)
    return scaffold


def test_on_the_command_line(run: Run, overriding: Path) -> None:
    before = snapshot(overriding)
    refused = run("add", "callback", "x")
    assert (refused.code, refused.out) == (5, "")
    assert "then say --trust" in refused.err
    assert snapshot(overriding) == before
    assert run("add", "callback", "x", "--trust").code == 0
    assert (overriding / "x.py").read_text() == 'own = "X"\n'
    assert run("update").code == 5
    assert run("update", "--trust").code == 0
    assert "say --trust" in run("status").out
    assert run("remove", "callback", "x").code == 0
    assert snapshot(overriding) == before


def test_a_template_cannot_reach_out(run: Run, overriding: Path) -> None:
    """Jinja's sandbox, no links, nothing outside the project."""
    files = overriding / STARTER / "files"
    for content in (
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{% include '../../../../project.toml' %}",
    ):
        (files / "{{ name }}.py").write_text(content)
        done = run("add", "callback", "x", "--trust")
        assert done.code == 1
        assert "Traceback" not in done.err
    (files / "{{ name }}.py").unlink()
    (files / "secret.txt").symlink_to("/etc/hostname")
    done = run("add", "callback", "x", "--trust")
    assert done.code == 1
    assert "link" in done.err
