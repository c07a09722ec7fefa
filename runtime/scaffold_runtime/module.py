"""`Module`: a model together with its loss, its optimizers and what happens in a step."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import Optimizer
from torch.utils._pytree import tree_map_only
from typing_extensions import Self

from scaffold_runtime.checkpoint import check_weights, fitting, refuse_pickles
from scaffold_runtime.data import DataHooks
from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.hyperparameters import HasHyperparameters
from scaffold_runtime.launch import rank_zero_warn
from scaffold_runtime.metrics import LogArguments
from scaffold_runtime.optimization import ManagedOptimizer, trainable
from scaffold_runtime.restore import make_again

if TYPE_CHECKING:
    import os

    from scaffold_runtime.callback import Callback
    from scaffold_runtime.trainer import Trainer


def _of_trainer(doc: str, name: str, outside: Any) -> Any:
    """A property of the trainer that the module has too, `outside` where it has none."""
    return property(lambda self: getattr(self._trainer, name, outside), doc=doc)


class Module(DataHooks, HasHyperparameters, nn.Module):
    """A `torch.nn.Module` that a `Trainer` can train.

    Define `training_step` and `configure_optimizers`; every other hook is optional and
    costs nothing unless it is overridden.

    Attributes:
        automatic_optimization: False leaves backward passes and steps to `training_step`.
        example_input_array: an input of `forward`, for summaries and exports.
        strict_loading: checkpoints must hold exactly this module's weights.
    """

    example_input_array: Any = None
    automatic_optimization: bool = True
    strict_loading: bool = True
    _trainer: Trainer | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._toggled: dict[nn.Parameter, bool] = {}

    def __getstate__(self) -> dict[str, Any]:
        """The module without its run: a copy or a pickle of it holds nothing else."""
        return self.__dict__ | {"_trainer": None, "_toggled": {}}

    # --- where it runs ----------------------------------------------------------------

    @property
    def trainer(self) -> Trainer:
        """The trainer of the run.

        Raises:
            RuntimeError: the module is not part of a run.
        """
        if self._trainer is None:
            raise RuntimeError(
                f"{type(self).__qualname__} is not attached to a Trainer: what you asked"
                " for exists while fit, validate, test or predict runs."
            )
        return self._trainer

    @trainer.setter
    def trainer(self, trainer: Trainer | None) -> None:
        self._trainer = trainer
        for child in self.children():
            if isinstance(child, Module):
                child.trainer = trainer

    @property
    def device(self) -> torch.device:
        """Device of the module's first parameter or buffer; the run's where it has none."""
        for tensor in itertools.chain(self.parameters(), self.buffers()):
            return tensor.device
        return self._trainer.engine.device if self._trainer else torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """Type of the module's first floating-point parameter."""
        floating = (p.dtype for p in self.parameters() if p.is_floating_point())
        return next(floating, torch.get_default_dtype())

    @property
    def on_gpu(self) -> bool:
        """The module is on a CUDA device."""
        return self.device.type == "cuda"

    current_epoch: int = _of_trainer("The epoch being trained.", "current_epoch", 0)
    global_step: int = _of_trainer("Optimizer steps taken.", "global_step", 0)
    global_rank: int = _of_trainer("Index among all processes.", "global_rank", 0)
    local_rank: int = _of_trainer("Index among this machine's.", "local_rank", 0)
    logger: Any = _of_trainer("The first logger of the run.", "logger", None)
    loggers: list[Any] = _of_trainer("All loggers of the run.", "loggers", [])

    # --- logging ----------------------------------------------------------------------

    def log(
        self,
        name: str,
        value: Any,
        prog_bar: bool = False,
        logger: bool | None = None,
        on_step: bool | None = None,
        on_epoch: bool | None = None,
        reduce_fx: str | Callable[..., Any] = "mean",
        enable_graph: bool = False,
        sync_dist: bool = False,
        sync_dist_group: Any = None,
        add_dataloader_idx: bool = True,
        batch_size: int | None = None,
        metric_attribute: str | None = None,
        rank_zero_only: bool = False,
    ) -> None:
        """Record a value under a name.

        Args:
            name: the name; on both step and epoch it forks into `name_step`, `name_epoch`.
            value: a number, a tensor with one element, or a torchmetrics object.
            prog_bar: show it in the progress bar.
            logger: send it to the loggers; by default yes.
            on_step: record each step's value; by default in training steps and hooks.
            on_epoch: reduce over the epoch; by default in evaluation and epoch hooks.
            reduce_fx: how an epoch is reduced: `mean` (weighted by batch size), `sum`,
                `min` or `max`.
            enable_graph: keep the value's graph.
            sync_dist: reduce over ranks as well.
            sync_dist_group: not supported: a value is reduced over all ranks.
            add_dataloader_idx: append `/dataloader_idx_N` when several loaders are
                evaluated.
            batch_size: weight in the mean; found in the batch by default.
            metric_attribute: accepted for compatibility; a metric knows how to reset.
            rank_zero_only: perhaps rank 0 alone logs it, so it is not reduced over ranks.

        Raises:
            MisconfigurationError: the place, the value or the arguments do not allow it.
        """
        trainer = self._trainer
        if trainer is None or trainer.barebones:
            place = "outside of a run" if trainer is None else "with barebones=True"
            rank_zero_warn(f"self.log({name!r}, ...) {place} records nothing.")
            return
        if sync_dist_group is not None:
            raise MisconfigurationError(
                "self.log(sync_dist_group=...) is not supported: reduce the value yourself."
            )
        if logger and not trainer.loggers:
            rank_zero_warn(f"self.log({name!r}, logger=True): there is no logger.")
        arguments = LogArguments(
            prog_bar,
            logger is not False,
            on_step,
            on_epoch,
            reduce_fx,
            enable_graph,
            sync_dist and not rank_zero_only,
            add_dataloader_idx,
        )
        trainer.recorder.log(name, value, arguments, batch_size)

    # What torch.compiler.disable sets, without its import of torch._dynamo (a second).
    log._torchdynamo_disable = True  # type: ignore[attr-defined]

    def log_dict(
        self, dictionary: Mapping[str, Any], *args: Any, **kwargs: Any
    ) -> None:
        """Record several values; the other arguments are those of `log`."""
        for name, value in dictionary.items():
            self.log(name, value, *args, **kwargs)

    def print(self, *args: Any, **kwargs: Any) -> None:
        """Print on rank 0, without tearing the progress bar."""
        write = self._trainer.print if self._trainer else print
        write(*args, **kwargs)

    def all_gather(self, data: Any, group: Any = None, sync_grads: bool = False) -> Any:
        """Stack every rank's tensors and numbers, in a batch of any nesting.

        Shapes: (...) -> (world_size, ...); in one process unchanged.

        Raises:
            MisconfigurationError: `group` is given: all ranks take part.
        """
        if group is not None:
            raise MisconfigurationError(
                "all_gather(group=...) is not supported: use torch.distributed.all_gather."
            )

        def gather(item: Any) -> Any:
            if not isinstance(item, torch.Tensor):
                item = torch.tensor(item, device=self.device)
            return self.trainer.engine.all_gather(item, sync_grads)

        return tree_map_only((int, float, torch.Tensor), gather, data)

    # --- steps ------------------------------------------------------------------------

    def training_step(self, *args: Any, **kwargs: Any) -> Any:
        """The loss of a batch: `training_step(batch, batch_idx)`.

        Returns a tensor, a dict with `loss`, or None to skip the batch.
        """

    def validation_step(self, *args: Any, **kwargs: Any) -> Any:
        """Work on a validation batch: `(batch, batch_idx, dataloader_idx=0)`."""

    def test_step(self, *args: Any, **kwargs: Any) -> Any:
        """Work on a test batch: `(batch, batch_idx, dataloader_idx=0)`."""

    def predict_step(self, *args: Any, **kwargs: Any) -> Any:
        """The prediction for a batch: `(batch, batch_idx, dataloader_idx=0)`."""
        return self(kwargs.get("batch", args[0] if args else None))

    def configure_optimizers(self) -> Any:
        """Optimizers and schedulers.

        Returns an optimizer, a list of them, ([optimizers], [schedulers]), a dict with
        `optimizer` and `lr_scheduler`, or None.
        """

    def configure_model(self) -> None:
        """Build layers late, when the strategy is known; must be safe to call twice."""

    def configure_callbacks(self) -> Callback | list[Callback]:
        """Callbacks that this module brings; they replace the trainer's of the same type."""
        return []

    # --- optimization -----------------------------------------------------------------

    def optimizers(self, use_pl_optimizer: bool = True) -> Any:
        """The optimizer, or the list of them, for manual optimization."""
        trainer, own = self.trainer, use_pl_optimizer
        found: list[Any] = trainer.managed_optimizers if own else trainer.optimizers
        return found[0] if len(found) == 1 else list(found)

    def lr_schedulers(self) -> Any:
        """The scheduler, the list of them, or None, for manual optimization."""
        found = [config.scheduler for config in self.trainer.lr_scheduler_configs]
        return (found[0] if len(found) == 1 else found) if found else None

    def manual_backward(self, loss: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        """Run a backward pass in manual optimization, through the run's precision.

        Raises:
            MisconfigurationError: the module is optimized automatically.
        """
        if self.automatic_optimization:
            raise MisconfigurationError(
                "manual_backward needs self.automatic_optimization = False in __init__."
            )
        self.trainer.run_backward(loss, *args, **kwargs)

    def backward(self, loss: torch.Tensor, *args: Any, **kwargs: Any) -> None:
        """Run a backward pass; override it to do so differently."""
        loss.backward(*args, **kwargs)

    def toggle_optimizer(self, optimizer: Optimizer | ManagedOptimizer) -> None:
        """Let only this optimizer's parameters need gradients, until untoggled."""
        own = {id(parameter) for parameter in trainable(optimizer)}
        for other in self.trainer.optimizers:
            for parameter in trainable(other):
                needed = self._toggled.setdefault(parameter, parameter.requires_grad)
                parameter.requires_grad = needed and id(parameter) in own

    def untoggle_optimizer(self, optimizer: Optimizer | ManagedOptimizer) -> None:
        """Give every parameter back what `toggle_optimizer` took."""
        for parameter, needed in self._toggled.items():
            parameter.requires_grad = needed
        self._toggled.clear()

    @contextmanager
    def toggled_optimizer(
        self, optimizer: Optimizer | ManagedOptimizer
    ) -> Iterator[None]:
        """`toggle_optimizer` and `untoggle_optimizer` around a block."""
        self.toggle_optimizer(optimizer)
        try:
            yield
        finally:
            self.untoggle_optimizer(optimizer)

    def clip_gradients(
        self,
        optimizer: Optimizer | ManagedOptimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip gradients by the trainer's settings, or by those given here.

        Raises:
            MisconfigurationError: the algorithm is unknown.
        """
        trainer, value = self.trainer, gradient_clip_val
        value = trainer.gradient_clip_val if value is None else value
        algorithm = gradient_clip_algorithm or trainer.gradient_clip_algorithm or "norm"
        if algorithm not in ("norm", "value"):
            raise MisconfigurationError(
                f"gradient_clip_algorithm={algorithm!r} is unknown: use 'norm' or 'value'."
            )
        if isinstance(optimizer, ManagedOptimizer):
            optimizer = optimizer.optimizer
        clip = trainer.engine.clip_gradients
        trainer.gradient_norm = clip(optimizer, value, algorithm)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip gradients just before a step; override it to do so differently."""
        self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def optimizer_step(
        self,
        epoch: int,
        batch_idx: int,
        optimizer: Any,
        optimizer_closure: Callable[[], Any] | None = None,
    ) -> None:
        """Step the optimizer; an override must pass or call the closure."""
        optimizer.step(closure=optimizer_closure)

    def optimizer_zero_grad(
        self, epoch: int, batch_idx: int, optimizer: Optimizer
    ) -> None:
        """Zero the gradients before a backward pass."""
        optimizer.zero_grad()

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Step a scheduler; `metric` is None unless it monitors one."""
        if metric is None:
            scheduler.step()
        else:
            scheduler.step(metric)

    # --- freezing, loading, exporting -------------------------------------------------

    def freeze(self) -> None:
        """Let no parameter need a gradient, and switch to evaluation mode."""
        self.requires_grad_(False).eval()

    def unfreeze(self) -> None:
        """Let every parameter need a gradient, and switch to training mode."""
        self.requires_grad_(True).train()

    @classmethod
    def load_from_checkpoint(
        cls,
        checkpoint_path: str | os.PathLike[str] | IO[bytes],
        map_location: Any = "cpu",
        hparams_file: str | os.PathLike[str] | None = None,
        strict: bool | None = None,
        weights_only: bool | None = None,
        **kwargs: Any,
    ) -> Self:
        """Make a module from the hyperparameters and weights in a checkpoint.

        Args:
            checkpoint_path: the checkpoint, by its path or opened.
            map_location: where its tensors go.
            hparams_file: a YAML file whose values take the place of the saved ones.
            strict: the checkpoint must hold exactly this module's weights.
            weights_only: False is refused: nothing in a checkpoint is executed.
            **kwargs: arguments that come before both.

        Raises:
            CheckpointError: the checkpoint is damaged, lacks an argument, or does not fit.
        """
        refuse_pickles(weights_only)
        source = checkpoint_path, map_location, hparams_file
        module, content = make_again(cls, *source, kwargs)
        module.configure_model()
        module.on_load_checkpoint(content)
        strict = module.strict_loading if strict is None else strict
        check_weights(module, content, checkpoint_path)
        weights = content["state_dict"]
        with fitting("What the module has saved", checkpoint_path):
            module.load_state_dict(weights, strict=strict)
        tensors = [t for t in weights.values() if isinstance(t, torch.Tensor)]
        return module.to(tensors[0].device) if tensors else module

    def to_onnx(
        self, file_path: Any = None, input_sample: Any = None, **kwargs: Any
    ) -> Any:
        """Write the forward pass as ONNX, through torch's exporter.

        Args:
            file_path: the file to write, a path or a buffer; None writes none.
            input_sample: an input of `forward`; `example_input_array` by default.
            **kwargs: arguments of `torch.onnx.export`.

        Raises:
            MisconfigurationError: there is no input to trace with.
        """
        sample = self.example_input_array if input_sample is None else input_sample
        if sample is None:
            raise MisconfigurationError(
                "to_onnx needs an input: pass input_sample, or set example_input_array."
            )
        arguments = sample if isinstance(sample, tuple) else (sample,)
        was_training = self.training
        self.eval()
        try:
            return torch.onnx.export(self, arguments, file_path, **kwargs)
        finally:
            self.train(was_training)

    def to_torchscript(self, *args: Any, **kwargs: Any) -> None:
        """Refused: torch has retired TorchScript.

        Raises:
            MisconfigurationError: always.
        """
        raise MisconfigurationError(
            "TorchScript is not supported, since torch has retired it: use to_onnx, or"
            " torch.export.export(module, args)."
        )

    # --- hooks of a run ---------------------------------------------------------------

    def on_fit_start(self) -> None:
        """Called when the optimizers are ready, before the sanity check."""

    def on_fit_end(self) -> None:
        """Called after training, before the teardown."""

    def on_train_start(self) -> None:
        """Called before the first epoch."""

    def on_train_end(self) -> None:
        """Called after the last epoch."""

    def on_train_epoch_start(self) -> None:
        """Called before an epoch's first batch."""

    def on_train_epoch_end(self) -> None:
        """Called after an epoch's last batch and its validation."""

    def on_train_batch_end(self, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Called after the step; `outputs` is what `training_step` returned."""

    def on_before_zero_grad(self, optimizer: Optimizer) -> None:
        """Called before gradients are zeroed."""

    def on_before_backward(self, loss: torch.Tensor) -> None:
        """Called before `backward`; the loss is divided by the accumulation."""

    def on_after_backward(self) -> None:
        """Called after `backward`, before the optimizer steps."""

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        """Called before gradients are clipped and applied."""

    # Test and predict have the hooks of validation, under their own names.

    def on_validation_start(self) -> None:
        """Called before the first batch of an evaluation."""

    def on_validation_end(self) -> None:
        """Called after the last batch of an evaluation."""

    def on_validation_epoch_start(self) -> None:
        """Called when the loaders are ready."""

    def on_validation_epoch_end(self) -> None:
        """Called when all batches are done, metrics not yet reduced."""

    def on_validation_batch_start(
        self, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Called before the batch's step."""

    def on_validation_batch_end(
        self, outputs: Any, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Called after the batch's step; `outputs` is what it returned."""

    def on_validation_model_eval(self) -> None:
        """Switch to evaluation mode before an evaluation."""
        self.eval()

    def on_validation_model_train(self) -> None:
        """An override takes the place of restoring the modes after an evaluation."""
        self.train()

    on_test_start = on_predict_start = on_validation_start
    on_test_end = on_predict_end = on_validation_end
    on_test_epoch_start = on_predict_epoch_start = on_validation_epoch_start
    on_test_epoch_end = on_predict_epoch_end = on_validation_epoch_end
    on_test_batch_start = on_predict_batch_start = on_validation_batch_start
    on_test_batch_end = on_predict_batch_end = on_validation_batch_end
    on_test_model_eval = on_predict_model_eval = on_validation_model_eval
    on_test_model_train = on_validation_model_train

    def on_validation_model_zero_grad(self) -> None:
        """Zero gradients before a validation within training."""
        self.zero_grad()

    def on_exception(self, exception: BaseException) -> None:
        """Called when a run ends by an exception, Ctrl-C included."""

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Called with a checkpoint's content before it is written; may add plain data."""

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Called with a checkpoint's content before the weights are loaded."""

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> int | None:
        """Called before `training_step`; -1 skips the rest of the epoch."""
