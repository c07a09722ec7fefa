"""Black, as the command line would run it on the same files."""

from __future__ import annotations

from scaffold.errors import TemplateError
from scaffold.tree import File, Tree

LINE_LENGTH = 88


def format_tree(files: Tree) -> Tree:
    """Return `files` with all Python formatted at 88 columns."""
    return {
        path: _formatted(path, file) if path.endswith((".py", ".pyi")) else file
        for path, file in files.items()
    }


def _formatted(path: str, file: File) -> File:
    import black
    from black.mode import TargetVersion
    from black.parsing import InvalidInput
    from black.report import NothingChanged

    versions = {v for v in TargetVersion if v.value >= TargetVersion.PY310.value}
    mode = black.Mode(
        target_versions=versions, line_length=LINE_LENGTH, is_pyi=path.endswith(".pyi")
    )
    try:
        text = black.format_file_contents(file.content.decode(), fast=True, mode=mode)
    except NothingChanged:
        return file
    except (InvalidInput, UnicodeDecodeError) as error:
        raise TemplateError(f"{path} as rendered is no Python: {error}") from error
    return File(text.encode(), file.mode)


def black_version() -> str:
    """Return the version of Black that formats."""
    import black

    version: str = black.__version__  # type: ignore[attr-defined]
    return version
