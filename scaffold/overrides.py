"""A project's own templates of components, rendered only where the user trusts them.

.scaffold/templates/<kind>/<variant>/ takes the place of ours of that name, or adds one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scaffold import catalog, state
from scaffold.errors import UntrustedError
from scaffold.template import Template, load


@dataclass(frozen=True)
class Components:
    """The templates of components as one project sees them.

    Attributes:
        root: the project's folder.
        trusted: whether the user said `--trust`.
    """

    root: Path
    trusted: bool = False

    def variants(self, kind: str) -> list[str]:
        """Return the names of the variants of a kind, the project's own too."""
        return sorted({*catalog.kind(kind).variants, *self._overrides(kind)})

    def template(self, kind: str, variant: str) -> Template:
        """Return the template of a component.

        Raises:
            UntrustedError: it is the project's own, and the user did not say `--trust`.
            UsageError: there is no such kind or variant.
        """
        folder = self._overrides(kind).get(variant)
        if folder is None:
            return catalog.component(kind, variant)
        if not self.trusted:
            raise UntrustedError(
                f"{kind} {variant} is this project's own template: look at "
                f"{folder.relative_to(self.root).as_posix()}, then say --trust."
            )
        return load(variant, (folder,))

    def _overrides(self, kind: str) -> dict[str, Path]:
        folder = self.root / state.FOLDER / "templates"
        return {
            path.parent.name: path.parent
            for path in folder.glob("*/*/template.toml")
            if path.parent.parent.name == kind
        }
