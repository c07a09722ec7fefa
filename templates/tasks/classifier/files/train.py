"""Train, validate, test or predict: `python train.py fit`, `python train.py --help`."""

from pathlib import Path

from scaffold_runtime.cli import CLI, ArgumentParser

from {{ package }}.data import Data
from {{ package }}.model import Model

CONFIG = Path(__file__).parent / "configs" / "default.yaml"


class ProjectCLI(CLI):
    """The command line; what the model must know of the data, it gets from there."""

    def add_arguments_to_parser(self, parser: ArgumentParser) -> None:
        parser.link_arguments("data.classes", "model.classes", apply_on="instantiate")
        parser.link_arguments(
            "data.image_shape", "model.image_shape", apply_on="instantiate"
        )


if __name__ == "__main__":
    commands = ("fit", "validate", "test", "predict")
    defaults = {"default_config_files": [CONFIG]}
    ProjectCLI(Model, Data, parser_kwargs=dict.fromkeys(commands, defaults))
