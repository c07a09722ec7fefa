"""Black, as the command line would run it on the same files."""

from __future__ import annotations

from dataclasses import dataclass

from scaffold import toml_reader
from scaffold.errors import TemplateError
from scaffold.tree import File, Tree


def format_tree(files: Tree) -> Tree:
    """Return `files` with all Python formatted at 88 columns."""
    return {
        path: _formatted(path, file) if path.endswith((".py", ".pyi")) else file
        for path, file in files.items()
    }


def _formatted(path: str, file: File) -> File:
    from black.parsing import InvalidInput

    try:
        text = Style(is_pyi=path.endswith(".pyi")).format(file.content.decode())
    except (InvalidInput, UnicodeDecodeError) as error:
        raise TemplateError(f"{path} as rendered is no Python: {error}") from error
    return File(text.encode(), file.mode)


@dataclass(frozen=True)
class Style:
    """The settings of Black that change what it writes."""

    line_length: int = 88
    string_normalization: bool = True
    magic_trailing_comma: bool = True
    is_pyi: bool = False

    @staticmethod
    def of(pyproject: str) -> Style:
        """Return the settings of a project, from the text of its pyproject.toml."""
        try:
            table = toml_reader.loads(pyproject).get("tool", {}).get("black", {})
            return Style(
                line_length=int(table.get("line-length", 88)),
                string_normalization=not table.get("skip-string-normalization", False),
                magic_trailing_comma=not table.get("skip-magic-trailing-comma", False),
            )
        except (toml_reader.TOMLDecodeError, AttributeError, TypeError, ValueError):
            return Style()

    def format(self, text: str) -> str:
        """Return `text` as Black writes it.

        Raises:
            black.parsing.InvalidInput: it is no Python.
        """
        import black
        from black.mode import TargetVersion
        from black.report import NothingChanged

        mode = black.Mode(
            target_versions={
                version
                for version in TargetVersion
                if version.value >= TargetVersion.PY310.value
            },
            line_length=self.line_length,
            string_normalization=self.string_normalization,
            magic_trailing_comma=self.magic_trailing_comma,
            is_pyi=self.is_pyi,
        )
        try:
            return black.format_file_contents(text, fast=True, mode=mode)
        except NothingChanged:
            return text

    def is_formatted(self, text: str) -> bool:
        """Tell whether Black would leave `text` as it is."""
        from black.parsing import InvalidInput

        try:
            return self.format(text) == text
        except InvalidInput:
            return False


def black_version() -> str:
    """Return the version of Black that formats."""
    import black

    version: str = black.__version__  # type: ignore[attr-defined]
    return version
