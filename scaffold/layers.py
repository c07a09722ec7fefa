"""Laying template folders over each other into one Copier template."""

from __future__ import annotations

from pathlib import Path, PurePosixPath

from scaffold.errors import TemplateError
from scaffold.template import Template

# A component's edits of other files are rendered like its files, under this name.
WIRING = ".scaffold-wiring.toml"

_IGNORED = {"__pycache__", ".DS_Store", ".mypy_cache", ".ruff_cache", ".pytest_cache"}

# `trim_blocks` and `lstrip_blocks` let `{% include %}` on a line of its own vanish.
_COPIER_SETTINGS = """\
_subdirectory: files
_templates_suffix: ""
_envops:
  line_statement_prefix: "#%"
  trim_blocks: true
  lstrip_blocks: true
  keep_trailing_newline: true
  undefined: jinja2.StrictUndefined
_exclude: """


def sources(template: Template, part: str = "files") -> dict[str, Path]:
    """Return the template's files: their path as written there, and where they lie.

    Args:
        template: the layers.
        part: "files", or "parts" for what fills the gaps.

    Raises:
        TemplateError: two layers have the same path, or one has a link.
    """
    found: dict[str, Path] = {}
    for folder in template.folders:
        root = folder / part
        for path in sorted(root.rglob("*")):
            relative = path.relative_to(root)
            if path.is_symlink():
                raise TemplateError(f"{part}/{relative} of {template.name} is a link.")
            if not path.is_file() or _IGNORED.intersection(relative.parts):
                continue
            name = relative.as_posix()
            if name in found:
                raise TemplateError(
                    f"{part}/{name} is in two folders of {template.name}: "
                    "leave a gap in one and fill it from the other."
                )
            found[name] = path
    return found


def write_copier_template(template: Template, folder: Path) -> None:
    """Write all layers of `template` as one Copier template into the new `folder`."""
    (folder / "files").mkdir(parents=True)
    for part in ("files", "parts"):
        for name, source in sources(template, part).items():
            copy = folder / part / PurePosixPath(name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(source.read_bytes())
    for layer in template.folders:
        if (layer / "wiring.toml").is_file():
            wiring = folder / "files" / WIRING
            wiring.write_bytes((layer / "wiring.toml").read_bytes())
    (folder / "copier.yml").write_text(
        _COPIER_SETTINGS + _exclusions(template), encoding="utf-8"
    )


def conditions(template: Template) -> dict[str, str]:
    """Return the `only_if` expression of each file in `sources` that has one."""
    from pathspec import GitIgnoreSpec

    found: dict[str, str] = {}
    for pattern, condition in template.only_if.items():
        spec = GitIgnoreSpec.from_lines([pattern])
        found |= dict.fromkeys(spec.match_files(sources(template)), condition)
    return found


def _exclusions(template: Template) -> str:
    """Return Copier's `_exclude` list, as YAML, that `only_if` stands for."""
    import json

    patterns = [
        f"{{% if not ({condition}) %}}{pattern}{{% endif %}}"
        for pattern, condition in template.only_if.items()
    ]
    return json.dumps(patterns)
