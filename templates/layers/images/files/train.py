"""Train, validate, test or predict: `python train.py fit`, `python train.py --help`."""

from scaffold_runtime.cli import CLI, ArgumentParser

from {{ package }}.data import Data
from {{ package }}.model import Model


class ProjectCLI(CLI):
    """The command line; what the model must know of the data, it learns from there."""

    def add_arguments_to_parser(self, parser: ArgumentParser) -> None:
        """Link the model's arguments to what the data finds in its files."""
        parser.link_arguments("data.classes", "model.classes", apply_on="instantiate")
        parser.link_arguments(
            "data.image_shape", "model.image_shape", apply_on="instantiate"
        )


if __name__ == "__main__":
    ProjectCLI(Model, Data)
