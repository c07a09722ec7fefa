"""`Callback`: what a user adds to a run without touching the module."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from scaffold_runtime import Module, Trainer


class Callback:
    """Hooks that the loops call; override those you need, the others cost nothing.

    Every hook gets the trainer and the module. Hooks are looked up once, when a run
    starts: on the class, or on the instance where one was set there.

    Attributes:
        after_module: its `on_train_epoch_end` runs after the module's own.
        runs_last: it runs after every callback that does not say the same.
        fit_state: its state is that of a fit: validate, test and predict restore none.
        log, log_dict: those of the module, while a run lasts.
    """

    log: Any
    log_dict: Any
    after_module: ClassVar[bool] = False
    runs_last: ClassVar[bool] = False
    fit_state: ClassVar[bool] = False

    @property
    def state_key(self) -> str:
        """The name under which a checkpoint keeps this callback's state."""
        return type(self).__qualname__

    def _generate_state_key(self, **identity: Any) -> str:
        """A state key made of the class name and the arguments that identify it."""
        return f"{type(self).__qualname__}{identity!r}"

    def state_dict(self) -> dict[str, Any]:
        """State to keep in a checkpoint: numbers, strings, None, tensors, and nests of them."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the state that `state_dict` returned when the checkpoint was written."""

    def setup(self, trainer: Trainer, pl_module: Module, stage: str) -> None:
        """Called when fit, validate, test or predict begins, on every rank."""

    def teardown(self, trainer: Trainer, pl_module: Module, stage: str) -> None:
        """Called when fit, validate, test or predict ends."""

    def on_fit_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Called when the optimizers are ready, before the sanity check."""

    def on_fit_end(self, trainer: Trainer, pl_module: Module) -> None:
        """Called after training, before the teardown."""

    def on_sanity_check_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Called before the sanity check."""

    def on_sanity_check_end(self, trainer: Trainer, pl_module: Module) -> None:
        """Called after the sanity check."""

    def on_train_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Called before the first epoch."""

    def on_train_end(self, trainer: Trainer, pl_module: Module) -> None:
        """Called after the last epoch."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Called before an epoch's first batch."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Module) -> None:
        """Called after an epoch's last batch and its validation."""

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: Module, batch: Any, batch_idx: int
    ) -> None:
        """Called before `training_step`, with the batch on its device."""

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: Module,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Called after the step; `outputs` is what `training_step` returned."""

    def on_before_zero_grad(
        self, trainer: Trainer, pl_module: Module, optimizer: Optimizer
    ) -> None:
        """Called before gradients are zeroed."""

    def on_before_backward(
        self, trainer: Trainer, pl_module: Module, loss: Tensor
    ) -> None:
        """Called before `backward`; the loss is divided by the accumulation."""

    def on_after_backward(self, trainer: Trainer, pl_module: Module) -> None:
        """Called after `backward`, before the optimizer steps."""

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: Module, optimizer: Optimizer
    ) -> None:
        """Called before gradients are clipped and applied."""

    # Test and predict have the hooks of validation, under their own names.

    def on_validation_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Called before the first batch of an evaluation."""

    def on_validation_end(self, trainer: Trainer, pl_module: Module) -> None:
        """Called after the last batch of an evaluation."""

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Called when the loaders are ready."""

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: Module) -> None:
        """Called when all batches are done, metrics not yet reduced."""

    def on_validation_batch_start(
        self,
        trainer: Trainer,
        pl_module: Module,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Called before the batch's step."""

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: Module,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Called after the batch's step; `outputs` is what it returned."""

    on_test_start = on_predict_start = on_validation_start
    on_test_end = on_predict_end = on_validation_end
    on_test_epoch_start = on_predict_epoch_start = on_validation_epoch_start
    on_test_epoch_end = on_predict_epoch_end = on_validation_epoch_end
    on_test_batch_start = on_predict_batch_start = on_validation_batch_start
    on_test_batch_end = on_predict_batch_end = on_validation_batch_end

    def on_exception(
        self, trainer: Trainer, pl_module: Module, exception: BaseException
    ) -> None:
        """Called when a run ends by an exception, Ctrl-C included."""

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: Module, checkpoint: dict[str, Any]
    ) -> None:
        """Called with a checkpoint's content before it is written; may add plain data."""

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: Module, checkpoint: dict[str, Any]
    ) -> None:
        """Called with a checkpoint's content before the callback's own state."""
