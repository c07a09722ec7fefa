"""The one render: a template and its answers become a tree in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from scaffold import architecture, layers, quoting, tree
from scaffold.errors import TemplateError
from scaffold.formatting import format_tree
from scaffold.quoting import Value

if TYPE_CHECKING:
    from scaffold.template import Template


def render(template: Template, answers: Mapping[str, Value]) -> tree.Tree:
    """Return the files that `template` makes of `answers`, formatted by Black.

    A pure function of its arguments: no user's settings, no clock, no network.

    Args:
        template: from `catalog.task`.
        answers: from `template.answers`.

    Raises:
        TemplateError: the template is broken: a path in two layers, an unknown
            variable, Python that does not parse.
    """
    import copier
    import jinja2
    from copier.errors import UserMessageError
    from plumbum import local

    with tempfile.TemporaryDirectory(prefix="scaffold-") as folder:
        source, destination = Path(folder, "template"), Path(folder, "project")
        layers.write_copier_template(template, source)
        # Without git in sight Copier starts no process for each file to copy its
        # executable bit into an index that does not exist.
        with local.env(PATH=folder):
            try:
                copier.run_copy(
                    str(source),
                    destination,
                    data={**answers, **_FUNCTIONS},
                    defaults=True,
                    quiet=True,
                    skip_tasks=True,
                    settings=copier.Settings(),
                )
            except (jinja2.TemplateError, UserMessageError) as error:
                raise TemplateError(f"template {template.name}: {error}") from error
        return format_tree(tree.read(destination))


_FUNCTIONS = {
    "toml": quoting.toml,
    "yaml": quoting.yaml,
    "python": quoting.python,
    "architecture": architecture.layers,
}
