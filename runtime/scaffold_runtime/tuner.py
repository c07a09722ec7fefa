"""`Tuner`: a good learning rate and the largest batch size, found by short trial runs."""

from __future__ import annotations

import gc
import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import torch

from scaffold_runtime.callback import Callback
from scaffold_runtime.checkpoint import copy_to_cpu
from scaffold_runtime.data import DataModule
from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.launch import rank_zero_info, rank_zero_warn
from scaffold_runtime.loader import length_of
from scaffold_runtime.loggers import DummyLogger
from scaffold_runtime.module import Module
from scaffold_runtime.profilers import PassThroughProfiler
from scaffold_runtime.seed import isolated_random_state
from scaffold_runtime.trainer import Trainer

Method = Literal["fit", "validate", "test", "predict"]

SMOOTHING = 0.98
_OUT_OF_MEMORY = "out of memory|can't allocate memory|CUDNN_STATUS_NOT_SUPPORTED"
# Arguments that keep a method from printing or keeping what it finds.
_SILENT: dict[str, dict[str, bool]] = {
    "fit": {},
    "validate": {"verbose": False},
    "test": {"verbose": False},
    "predict": {"return_predictions": False},
}


class LRFinder:
    """What a learning rate range test has found.

    Attributes:
        mode: `exponential` or `linear`.
        lr_min: the first learning rate.
        lr_max: the last.
        num_training: how many there are.
        results: under `lr` the learning rates that were tried, under `loss` the smoothed
            loss at each.
    """

    def __init__(
        self, mode: str, lr_min: float, lr_max: float, num_training: int
    ) -> None:
        self.mode, self.num_training = mode, num_training
        self.lr_min, self.lr_max = lr_min, lr_max
        self.results: dict[str, list[float]] = {"lr": [], "loss": []}

    def suggestion(self, skip_begin: int = 10, skip_end: int = 1) -> float | None:
        """The learning rate at which the loss falls most steeply.

        Args:
            skip_begin: how many of the first rates are left out.
            skip_end: how many of the last.

        Returns:
            None, with a warning, where fewer than two finite losses are left.
        """
        rates, losses = (torch.tensor(self.results[key]) for key in ("lr", "loss"))
        kept = torch.arange(len(losses))[skip_begin : max(len(losses) - skip_end, 0)]
        kept = kept[losses[kept].isfinite()]
        if len(kept) < 2:
            rank_zero_warn(
                f"No learning rate is suggested: of {len(losses)} losses {len(kept)} are"
                " left. Raise num_training or max_epochs, or give more data."
            )
            return None
        slopes = torch.gradient(losses[kept], spacing=(rates[kept],))[0]
        return self.results["lr"][int(kept[slopes.argmin()])]

    def plot(self, suggest: bool = False, show: bool = False, ax: Any = None) -> Any:
        """Draw losses over learning rates, with matplotlib.

        Args:
            suggest: mark the suggestion.
            show: open a window.
            ax: axes to draw on; by default those of a new figure.

        Returns:
            The figure.

        Raises:
            MisconfigurationError: matplotlib is not installed.
        """
        try:
            plt = import_module("matplotlib.pyplot")
        except ImportError:
            raise MisconfigurationError(
                "A plot needs matplotlib: install it by `pip install matplotlib`."
            ) from None
        ax = plt.subplots()[1] if ax is None else ax
        rates, losses = self.results["lr"], self.results["loss"]
        ax.plot(rates, losses)
        ax.set(xlabel="Learning rate", ylabel="Loss")
        if self.mode == "exponential":
            ax.set_xscale("log")
        if suggest and (rate := self.suggestion()) is not None:
            ax.plot(rate, losses[rates.index(rate)], "o", color="red", ms=10)
        if show:
            plt.show()
        return ax.figure


class Tuner:
    """Tries a trainer's runs in small; module, trainer and disk are left as they were.

    Args:
        trainer: the trainer whose arguments the trial runs have.

    Example:
        model.lr = Tuner(trainer).lr_find(model).suggestion()
        trainer.fit(model)
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer

    def lr_find(
        self,
        model: Module,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        dataloaders: Any = None,
        datamodule: DataModule | None = None,
        method: Method = "fit",
        min_lr: float = 1e-8,
        max_lr: float = 1,
        num_training: int = 100,
        mode: str = "exponential",
        early_stop_threshold: float | None = 4.0,
        update_attr: bool = True,
        attr_name: str = "",
    ) -> LRFinder | None:
        """Raise the learning rate at each step and note the loss (Smith, 2015).

        Args:
            model: the module to train; it has one optimizer.
            train_dataloaders: as for `Trainer.fit`.
            val_dataloaders: not needed.
            dataloaders: not needed.
            datamodule: as for `Trainer.fit`.
            method: only `fit` has a learning rate.
            min_lr: the first learning rate.
            max_lr: the last.
            num_training: how many there are, one a step.
            mode: they grow by a factor, `exponential`, or by a difference, `linear`.
            early_stop_threshold: stop where the loss is so many times the best; None never.
            update_attr: set the suggestion as the module's attribute, or hyperparameter.
            attr_name: its name; by default `lr` or `learning_rate`.

        Returns:
            None under `fast_dev_run`.

        Raises:
            MisconfigurationError: there is no such attribute, or not one optimizer.
        """
        _refuse_unless(method == "fit", f"method={method!r} has no learning rate.")
        _refuse_unless(
            mode in ("exponential", "linear"),
            f"mode={mode!r} is unknown: use 'exponential' or 'linear'.",
        )
        least = min(min_lr, max_lr)
        _refuse_unless(
            least > 0 or (least == 0 and mode == "linear"),
            f"min_lr={min_lr} and max_lr={max_lr} must be above 0.",
        )
        trainer = self._trainer
        if trainer.fast_dev_run:
            rank_zero_warn("fast_dev_run is on: no learning rate is looked for.")
            return None
        train_dataloaders, datamodule = _sort(train_dataloaders, datamodule)
        names = [attr_name] if attr_name else ["lr", "learning_rate"]
        name = next((n for n in names if _owners(model, datamodule, n)), None)
        _refuse_unless(
            name is not None or not update_attr,
            f"{type(model).__name__} has no attribute and no hyperparameter"
            f" {' or '.join(names)}: name its learning rate by attr_name, or use"
            " update_attr=False.",
        )
        finder = LRFinder(mode, min_lr, max_lr, num_training)
        search = _RangeTest(finder, early_stop_threshold)
        with _trial(trainer, model, search):
            trainer.max_steps, trainer.limit_val_batches = num_training, 0
            trainer.fit(model, train_dataloaders, datamodule=datamodule)
        rate = finder.suggestion() if update_attr and name else None
        if name and rate is not None:
            _assign(_owners(model, datamodule, name), name, rate)
            rank_zero_info(f"The learning rate, {name}, is now {rate:.4g}.")
        return finder

    def scale_batch_size(
        self,
        model: Module,
        train_dataloaders: Any = None,
        val_dataloaders: Any = None,
        dataloaders: Any = None,
        datamodule: DataModule | None = None,
        method: Method = "fit",
        mode: str = "power",
        steps_per_trial: int = 3,
        init_val: int = 2,
        max_trials: int = 25,
        batch_arg_name: str = "batch_size",
        margin: float = 0.05,
        max_val: int = 8192,
    ) -> int | None:
        """Raise the batch size until memory is out; the size is set as the attribute.

        Args:
            model: the module to run.
            train_dataloaders: None or a data module: loaders have their batch size.
            val_dataloaders: not taken.
            dataloaders: as `train_dataloaders`, for other methods.
            datamodule: a data module, which asks for its batch size when it makes loaders.
            method: which run is tried: `fit`, `validate`, `test` or `predict`.
            mode: `power` doubles; `binsearch` goes on between the last size that fitted and
                the first that did not.
            steps_per_trial: steps with each size.
            init_val: the first size.
            max_trials: how often the size is raised.
            batch_arg_name: attribute of the module or data module, or hyperparameter.
            margin: by which share `binsearch` stays below what it found.
            max_val: the largest size.

        Returns:
            The size; None under `fast_dev_run`.

        Raises:
            MisconfigurationError: there is no such attribute, or no size fits.
        """
        _refuse_unless(
            mode in ("power", "binsearch"),
            f"mode={mode!r} is unknown: use 'power' or 'binsearch'.",
        )
        _refuse_unless(method in _SILENT, f"method={method!r} is unknown: use 'fit'.")
        _refuse_unless(init_val > 0, f"init_val={init_val} must be at least 1.")
        _refuse_unless(0 <= margin < 1, f"margin={margin} must be from 0 to below 1.")
        trainer = self._trainer
        if trainer.fast_dev_run:
            rank_zero_warn("fast_dev_run is on: no batch size is looked for.")
            return None
        _refuse_unless(
            not trainer.distributed,
            "A rank that is out of memory leaves the others waiting: look for the batch"
            " size with devices=1, it is that of one process.",
        )
        given, datamodule = _sort(train_dataloaders or dataloaders, datamodule)
        _refuse_unless(
            given is None and val_dataloaders is None,
            "Loaders that are given have their batch size already: let the module or a"
            f" data module make them, of its {batch_arg_name}.",
        )
        owners = _owners(model, datamodule, batch_arg_name)
        _refuse_unless(
            bool(owners),
            f"Neither {type(model).__name__} nor a data module has an attribute or"
            f" hyperparameter {batch_arg_name}: name it by batch_arg_name.",
        )

        def fits(size: int) -> tuple[bool, float]:
            _assign(owners, batch_arg_name, size)
            with _trial(trainer, model, _KeepWeights()):
                trainer.val_check_interval = trainer.limit_train_batches = 1.0
                trainer.limit_val_batches = trainer.limit_test_batches = steps_per_trial
                trainer.limit_predict_batches = trainer.max_steps = steps_per_trial
                run, arguments = getattr(trainer, method), _SILENT[method]
                fitted = _runs(lambda: run(model, datamodule=datamodule, **arguments))
                return fitted, _samples(trainer)

        before = [(owner, getattr(owner, batch_arg_name)) for owner in owners]
        try:
            size = _search(fits, mode, init_val, max_trials, max_val)
        except BaseException:
            for owner, value in before:
                setattr(owner, batch_arg_name, value)
            raise
        if mode == "binsearch":
            size = max(1, int(size * (1 - margin)))
        _assign(owners, batch_arg_name, size)
        rank_zero_info(f"The batch size, {batch_arg_name}, is now {size}.")
        return size


class _KeepWeights(Callback):
    """Keeps the weights as they are when the module is whole and nothing has run."""

    weights: dict[str, Any] | None = None

    def on_fit_start(self, trainer: Trainer, pl_module: Module) -> None:
        self.weights = copy_to_cpu(pl_module.state_dict())


@dataclass(eq=False)
class _RangeTest(_KeepWeights):
    """Sets the learning rate of each step, and notes the loss."""

    finder: LRFinder
    threshold: float | None
    average: float = 0.0
    best: float = 0.0

    def on_fit_start(self, trainer: Trainer, pl_module: Module) -> None:
        super().on_fit_start(trainer, pl_module)
        _refuse_unless(
            len(trainer.optimizers) == 1,
            f"{type(pl_module).__name__} has {len(trainer.optimizers)} optimizers, and a"
            " learning rate is looked for with one.",
        )
        trainer.lr_scheduler_configs = []

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        own, taken = self.finder, trainer.global_step
        share, rate = (taken + 1) / own.num_training, own.lr_min
        if taken and own.mode == "linear":
            rate += share * (own.lr_max - rate)
        elif taken:
            rate *= (own.lr_max / rate) ** share
        for group in trainer.optimizers[0].param_groups:
            group["lr"] = group["initial_lr"] = rate

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: Module,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        results, step = self.finder.results, trainer.global_step
        results["lr"].append(trainer.optimizers[0].param_groups[0]["lr"])
        if not outputs:
            results["loss"].append(math.nan)
            return
        loss = trainer.strategy.all_reduce(outputs["loss"]).item()
        self.average = SMOOTHING * self.average + (1 - SMOOTHING) * loss
        smoothed = self.average / (1 - SMOOTHING ** (step + 1))
        threshold = math.inf if self.threshold is None else self.threshold * self.best
        trainer.should_stop = step > 1 and smoothed > threshold
        if smoothed < self.best or step == 1:
            self.best = smoothed
        results["loss"].append(smoothed)


@contextmanager
def _trial(trainer: Trainer, model: Module, callback: _KeepWeights) -> Iterator[None]:
    """Inside, runs of the trainer leave no trace."""
    trainer.engine.launch()
    before, own = dict(vars(trainer)), dict(vars(model))
    vars(model)["configure_callbacks"] = list
    try:
        with isolated_random_state():
            trainer.start_afresh()
            trainer.callbacks, trainer.profiler = [callback], PassThroughProfiler()
            trainer.loggers = [DummyLogger() for _ in trainer.loggers]
            trainer.check_finite, trainer.num_sanity_val_steps = False, 0
            yield
    finally:
        for thing, attributes in ((trainer, before), (model, own)):
            vars(thing).clear()
            vars(thing).update(attributes)
        if callback.weights is not None:
            model.load_state_dict(callback.weights)
            model.zero_grad()


def _runs(run: Callable[[], Any]) -> bool:
    """Whether a run comes to its end; False where memory did not suffice."""
    try:
        run()
        return True
    except (RuntimeError, MemoryError) as error:
        known = isinstance(error, MemoryError) or re.search(_OUT_OF_MEMORY, str(error))
        if not known:
            raise
        return False
    finally:
        gc.collect()
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()


def _samples(trainer: Trainer) -> float:
    """How many samples the run's first loader has, infinite where it does not say."""
    loaders = [trainer.train_loader, *trainer.eval_loaders]
    source = next((found.source for found in loaders if found is not None), None)
    return length_of(getattr(source, "dataset", None))


def _search(
    fits: Callable[[int], tuple[bool, float]],
    mode: str,
    size: int,
    max_trials: int,
    max_val: int,
) -> int:
    """The largest size that fits, by doubling and then, for `binsearch`, by halves.

    Raises:
        MisconfigurationError: none does.
    """
    low, high, trials = 0, None, 0
    while trials < max_trials and size > 0:
        fitted, samples = fits(size)
        low, high = (size, high) if fitted else (low, size)
        trials += fitted or mode == "power"
        if high is None:
            if size >= min(samples, max_val):
                break
            size = min(2 * size, max_val)
        elif mode == "power":
            if low:
                break
            size = high // 2
        elif high - low <= 1:
            break
        else:
            size = (low + high) // 2
    _refuse_unless(low > 0, "No batch size fits into memory: make the model smaller.")
    return low


def _sort(loaders: Any, datamodule: DataModule | None) -> tuple[Any, DataModule | None]:
    """A data module may be given in the loaders' place."""
    return (None, loaders) if isinstance(loaders, DataModule) else (loaders, datamodule)


def _owners(model: Module, datamodule: DataModule | None, name: str) -> list[Any]:
    """Module, data module and their hyperparameters, those that have the attribute."""
    parts = [part for part in (model, datamodule) if part is not None]
    parts += [part.hparams for part in parts]
    return [part for part in parts if hasattr(part, name)]


def _assign(owners: list[Any], name: str, value: Any) -> None:
    for owner in owners:
        setattr(owner, name, value)


def _refuse_unless(condition: bool, message: str) -> None:
    if not condition:
        raise MisconfigurationError(message)


__all__ = ["LRFinder", "Tuner"]
