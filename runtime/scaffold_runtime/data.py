"""`DataModule`: where the batches of a run come from."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import IO, TYPE_CHECKING, Any

import torch
from torch.utils._pytree import tree_map
from torch.utils.data import DataLoader, Dataset, IterableDataset
from typing_extensions import Self

from scaffold_runtime.checkpoint import refuse_pickles
from scaffold_runtime.engine import move_batch
from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.hyperparameters import (
    DATA_VALUES_KEY,
    HasHyperparameters,
    accepted,
)
from scaffold_runtime.restore import make_again

if TYPE_CHECKING:
    import os

    from scaffold_runtime.trainer import Trainer


class DataHooks:
    """Hooks that both a module and a data module have.

    A run asks the data module first; it falls back to the module.
    """

    prepare_data_per_node: bool = True

    def prepare_data(self) -> None:
        """Download or convert data; called in one process of each machine. Set no state."""

    def setup(self, stage: str) -> None:
        """Build data sets; called in every process.

        Args:
            stage: `fit`, `validate`, `test` or `predict`.
        """

    def teardown(self, stage: str) -> None:
        """Clean up; called in every process when the stage has ended."""

    def train_dataloader(self) -> Any:
        """The training batches: a `DataLoader`, any iterable, or a collection of them."""
        raise self._lacks("train_dataloader", "train_dataloaders")

    def val_dataloader(self) -> Any:
        """The validation batches: one iterable or a collection of them."""
        raise self._lacks("val_dataloader", "val_dataloaders")

    def test_dataloader(self) -> Any:
        """The test batches: one iterable or a collection of them."""
        raise self._lacks("test_dataloader", "dataloaders")

    def predict_dataloader(self) -> Any:
        """The batches to predict: one iterable or a collection of them."""
        raise self._lacks("predict_dataloader", "dataloaders")

    def _lacks(self, hook: str, argument: str) -> MisconfigurationError:
        return MisconfigurationError(
            f"{type(self).__name__} has no {hook}: define it, or pass {argument} or a data"
            " module."
        )

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Change a batch while it is on the CPU."""
        return batch

    def transfer_batch_to_device(
        self, batch: Any, device: torch.device, dataloader_idx: int
    ) -> Any:
        """Move a batch; needed only for types that no `.to` knows."""
        return move_batch(batch, device)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Change a batch when it is on its device."""
        return batch


class DataModule(DataHooks, HasHyperparameters):
    """Data sets and loaders of one task, in one place.

    Attributes:
        trainer: the trainer of the run, None outside of one.
    """

    CHECKPOINT_HYPER_PARAMS_KEY = DATA_VALUES_KEY
    CHECKPOINT_HYPER_PARAMS_NAME = "datamodule_hparams_name"
    name: str | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.trainer: Trainer | None = None

    def state_dict(self) -> dict[str, Any]:
        """State to keep in a checkpoint; plain data and tensors."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state of a checkpoint."""

    def on_exception(self, exception: BaseException) -> None:
        """Called when a run ends by an exception."""

    @classmethod
    def from_datasets(
        cls,
        train_dataset: Dataset[Any] | Iterable[Dataset[Any]] | None = None,
        val_dataset: Dataset[Any] | Iterable[Dataset[Any]] | None = None,
        test_dataset: Dataset[Any] | Iterable[Dataset[Any]] | None = None,
        predict_dataset: Dataset[Any] | Iterable[Dataset[Any]] | None = None,
        batch_size: int = 1,
        num_workers: int = 0,
        **datamodule_kwargs: Any,
    ) -> Self:
        """A data module of data sets: training data is shuffled, the rest is not.

        Args:
            train_dataset: one data set, or several.
            val_dataset: one data set, or several.
            test_dataset: one data set, or several.
            predict_dataset: one data set, or several.
            batch_size: samples in a batch of each loader.
            num_workers: processes that load data.
            **datamodule_kwargs: arguments of the data module's own `__init__`, which is
                given `batch_size` and `num_workers` too where it takes them.
        """
        offered = {"batch_size": batch_size, "num_workers": num_workers}
        datamodule = cls(**datamodule_kwargs, **accepted(cls, offered))
        given = {
            "train": train_dataset,
            "val": val_dataset,
            "test": test_dataset,
            "predict": predict_dataset,
        }
        for stage, datasets in given.items():
            if datasets is not None:
                make = partial(_make_loaders, datasets, stage == "train", **offered)
                setattr(datamodule, f"{stage}_dataloader", make)
        return datamodule

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: str | os.PathLike[str] | IO[bytes],
        map_location: Any = "cpu",
        hparams_file: str | os.PathLike[str] | None = None,
        weights_only: bool | None = None,
        **kwargs: Any,
    ) -> Self:
        """Make a data module from the hyperparameters and state in a checkpoint.

        Args:
            checkpoint_path: the checkpoint, by its path or opened.
            map_location: where its tensors go.
            hparams_file: a YAML file whose values take the place of the saved ones.
            weights_only: False is refused: nothing in a checkpoint is executed.
            **kwargs: arguments that come before both.

        Raises:
            CheckpointError: the checkpoint is damaged or lacks an argument.
        """
        refuse_pickles(weights_only)
        source = checkpoint_path, map_location, hparams_file
        datamodule, content = make_again(cls, *source, kwargs)
        if cls.__qualname__ in content:
            datamodule.load_state_dict(content[cls.__qualname__])
        return datamodule


def _make_loaders(
    datasets: Any, shuffle: bool, batch_size: int, num_workers: int
) -> Any:
    """A loader of a data set, or a collection of them like that of the data sets."""

    def make(dataset: Dataset[Any]) -> DataLoader[Any]:
        return DataLoader(
            dataset,
            batch_size=batch_size,
            shuffle=shuffle and not isinstance(dataset, IterableDataset),
            num_workers=num_workers,
            pin_memory=torch.cuda.is_available(),
        )

    return tree_map(make, datasets, is_leaf=lambda node: isinstance(node, Dataset))
