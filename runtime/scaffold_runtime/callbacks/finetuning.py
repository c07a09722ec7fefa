"""`BaseFinetuning`: freeze layers first, and train them from some epoch on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from numbers import Real
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.optim import Optimizer

from scaffold_runtime.callback import Callback
from scaffold_runtime.launch import rank_zero_info, rank_zero_warn
from scaffold_runtime.refusal import refuse_if, refuse_unless

if TYPE_CHECKING:
    from scaffold_runtime import Module, Trainer

Modules = nn.Module | Iterable[Any]


def multiplicative(epoch: int) -> float:
    """Double the backbone's learning rate each epoch."""
    return 2.0


class BaseFinetuning(Callback):
    """Base of callbacks that freeze parts of a model and unfreeze them later.

    Override `freeze_before_training` and `finetune_function`. The optimizer gets only
    trainable parameters in `configure_optimizers`; unfrozen ones come in as new groups.
    """

    def __init__(self) -> None:
        self._internal_optimizer_metadata: dict[int, list[dict[str, Any]]] = {}
        self._frozen: list[str] = []
        self._restarting = False

    def freeze_before_training(self, pl_module: Module) -> None:
        """Freeze what is not to be trained at first."""
        raise NotImplementedError

    def finetune_function(
        self, pl_module: Module, epoch: int, optimizer: Optimizer
    ) -> None:
        """Unfreeze what is to be trained from this epoch on."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """The optimizers' groups, with parameters by name, and what is frozen."""
        return {
            "internal_optimizer_metadata": self._internal_optimizer_metadata,
            "frozen": self._frozen,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Have the groups made again, and the same frozen, when the fit starts."""
        self._frozen = state_dict.get("frozen", [])
        self._internal_optimizer_metadata = state_dict["internal_optimizer_metadata"]
        # Before its first epoch began, a run had nothing of its own yet.
        self._restarting = bool(self._internal_optimizer_metadata)

    def setup(self, trainer: Trainer, pl_module: Module, stage: str) -> None:
        """Freeze."""
        self.freeze_before_training(pl_module)

    def on_fit_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Give the optimizers the groups that they had when the checkpoint was written."""
        if not self._restarting:
            return
        self._restarting = False
        parameters = dict(pl_module.named_parameters())
        for prefix, module in pl_module.named_modules():
            own = {f"{prefix}.{name}".lstrip(".") for name in module._parameters}
            if own and own.isdisjoint(self._frozen):
                self._set_trainable(module, True)
        for index, optimizer in enumerate(trainer.optimizers):
            groups = self._internal_optimizer_metadata.get(index)
            if groups is not None:
                optimizer.param_groups = [
                    {**group, "params": [parameters[name] for name in group["params"]]}
                    for group in groups
                ]

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Unfreeze, and keep a record of the groups."""
        names = {p: name for name, p in pl_module.named_parameters()}
        for index, optimizer in enumerate(trainer.optimizers):
            self.finetune_function(pl_module, trainer.current_epoch, optimizer)
            recorded = self._internal_optimizer_metadata.setdefault(index, [])
            for group in optimizer.param_groups[len(recorded) :]:
                params = [names[p] for p in group["params"]]
                recorded.append({**group, "params": params})
        self._frozen = [name for p, name in names.items() if not p.requires_grad]

    @staticmethod
    def flatten_modules(modules: Modules) -> list[nn.Module]:
        """Return the leaves of modules, and parents with parameters of their own."""
        if isinstance(modules, nn.ModuleDict):
            modules = modules.values()
        if isinstance(modules, Iterable):
            inner = map(BaseFinetuning.flatten_modules, modules)
            flat = [module for part in inner for module in part]
        else:
            flat = list(modules.modules())
        return [m for m in flat if m._parameters or not m._modules]

    @staticmethod
    def filter_params(
        modules: Modules, train_bn: bool = True, requires_grad: bool = True
    ) -> Iterator[nn.Parameter]:
        """Yield the trainable (or else the frozen) parameters of modules."""
        for module in BaseFinetuning.flatten_modules(modules):
            if train_bn or not isinstance(module, _BatchNorm):
                for parameter in module.parameters(recurse=False):
                    if parameter.requires_grad == requires_grad:
                        yield parameter

    @staticmethod
    def make_trainable(modules: Modules) -> None:
        """Unfreeze modules."""
        for module in BaseFinetuning.flatten_modules(modules):
            BaseFinetuning._set_trainable(module, True)

    @staticmethod
    def freeze_module(module: nn.Module) -> None:
        """Freeze a module's own parameters and, of batch norm, its running statistics."""
        BaseFinetuning._set_trainable(module, False)

    @staticmethod
    def _set_trainable(module: nn.Module, trainable: bool) -> None:
        if isinstance(module, _BatchNorm):
            module.track_running_stats = trainable
        for parameter in module.parameters(recurse=False):
            parameter.requires_grad = trainable

    @staticmethod
    def freeze(modules: Modules, train_bn: bool = True) -> None:
        """Freeze modules; with `train_bn` all but their batch norms."""
        for module in BaseFinetuning.flatten_modules(modules):
            trainable = isinstance(module, _BatchNorm) and train_bn
            BaseFinetuning._set_trainable(module, trainable)

    @staticmethod
    def filter_on_optimizer(
        optimizer: Optimizer, params: Iterable[nn.Parameter]
    ) -> list[nn.Parameter]:
        """Return the parameters that the optimizer does not have yet; warn of others."""
        known = {id(p) for group in optimizer.param_groups for p in group["params"]}
        params = list(params)
        new = [parameter for parameter in params if id(parameter) not in known]
        if len(new) < len(params):
            rank_zero_warn(
                f"{len(params) - len(new)} parameters to unfreeze are in the optimizer"
                " already: give it only those with requires_grad at first."
            )
        return new

    @staticmethod
    def unfreeze_and_add_param_group(
        modules: Modules,
        optimizer: Optimizer,
        lr: float | None = None,
        initial_denom_lr: float = 10.0,
        train_bn: bool = True,
    ) -> None:
        """Unfreeze modules and give their parameters to the optimizer as a new group.

        Args:
            modules: what to unfreeze.
            optimizer: what trains it.
            lr: learning rate of the group; by default that of the first group divided
                by `initial_denom_lr`.
            initial_denom_lr: see `lr`.
            train_bn: train batch norms too.
        """
        BaseFinetuning.make_trainable(modules)
        params = BaseFinetuning.filter_params(modules, train_bn=train_bn)
        new = BaseFinetuning.filter_on_optimizer(optimizer, params)
        if lr is None:
            lr = optimizer.param_groups[0]["lr"] / initial_denom_lr
        if new:
            optimizer.add_param_group({"params": new, "lr": lr})


class BackboneFinetuning(BaseFinetuning):
    """Train the head first, then the module's `backbone` with a growing learning rate.

    Args:
        unfreeze_backbone_at_epoch: the epoch from which the backbone is trained.
        lambda_func: factor of the backbone's learning rate, by epoch.
        backbone_initial_ratio_lr: first learning rate of the backbone, as a share of
            the head's.
        backbone_initial_lr: the same as a number, instead.
        should_align: never let it pass the head's.
        initial_denom_lr: see `unfreeze_and_add_param_group`.
        train_bn: train batch norms of the backbone.
        verbose: say both learning rates each epoch.
        rounding: decimals of what is said.

    Raises:
        MisconfigurationError: when a fit starts with a module that has no `backbone`.
    """

    def __init__(
        self,
        unfreeze_backbone_at_epoch: int = 10,
        lambda_func: Callable[[int], float] = multiplicative,
        backbone_initial_ratio_lr: float = 0.1,
        backbone_initial_lr: float | None = None,
        should_align: bool = True,
        initial_denom_lr: float = 10.0,
        train_bn: bool = True,
        verbose: bool = False,
        rounding: int = 12,
    ) -> None:
        super().__init__()
        first = unfreeze_backbone_at_epoch
        refuse_unless(self, Real, "a number", unfreeze_backbone_at_epoch=first)
        self.unfreeze_backbone_at_epoch = unfreeze_backbone_at_epoch
        self.lambda_func, self.should_align = lambda_func, should_align
        self.backbone_initial_ratio_lr = backbone_initial_ratio_lr
        self.backbone_initial_lr = backbone_initial_lr
        self.initial_denom_lr, self.train_bn = initial_denom_lr, train_bn
        self.verbose, self.rounding = verbose, rounding
        self.previous_backbone_lr: float | None = None

    def state_dict(self) -> dict[str, Any]:
        """The optimizers' groups and the backbone's learning rate."""
        own = {"previous_backbone_lr": self.previous_backbone_lr}
        return {**super().state_dict(), **own}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where the saved run was."""
        self.previous_backbone_lr = state_dict["previous_backbone_lr"]
        super().load_state_dict(state_dict)

    def freeze_before_training(self, pl_module: Module) -> None:
        """Freeze the backbone."""
        backbone = getattr(pl_module, "backbone", None)
        rule = f"{type(pl_module).__name__} has no module `backbone` to freeze at first"
        refuse_if(self, not isinstance(backbone, nn.Module), rule)
        self.freeze(pl_module.backbone)

    def finetune_function(
        self, pl_module: Module, epoch: int, optimizer: Optimizer
    ) -> None:
        """Unfreeze the backbone at its epoch, and raise its learning rate from then on."""
        if epoch < self.unfreeze_backbone_at_epoch:
            return
        head_lr = optimizer.param_groups[0]["lr"]
        if epoch == self.unfreeze_backbone_at_epoch:
            lr = self.backbone_initial_lr
            lr = head_lr * self.backbone_initial_ratio_lr if lr is None else lr
            self.unfreeze_and_add_param_group(
                pl_module.backbone, optimizer, lr, self.initial_denom_lr, self.train_bn
            )
        else:
            assert self.previous_backbone_lr is not None
            lr = self.lambda_func(epoch + 1) * self.previous_backbone_lr
            lr = min(lr, head_lr) if self.should_align else lr
            optimizer.param_groups[-1]["lr"] = lr
        self.previous_backbone_lr = lr
        if self.verbose:
            head, backbone = (round(rate, self.rounding) for rate in (head_lr, lr))
            rank_zero_info(f"Learning rate {head}, backbone {backbone}.")
