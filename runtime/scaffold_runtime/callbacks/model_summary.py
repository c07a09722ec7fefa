"""`ModelSummary`: a table of the model's layers, printed when a fit starts."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from scaffold_runtime.callback import Callback
from scaffold_runtime.launch import rank_zero_info, rank_zero_warn

if TYPE_CHECKING:
    from scaffold_runtime import Module, Trainer


@dataclass
class LayerSummary:
    """One line of the table.

    Attributes:
        name: the layer's dotted name in the model.
        layer_type: its class name.
        num_parameters: elements of all its parameters, over all ranks.
        training: it is in training mode.
        in_size: shape of its input, or a list of shapes; None where unknown.
        out_size: the same for its output.
    """

    name: str
    layer_type: str
    num_parameters: int
    training: bool
    in_size: Any = None
    out_size: Any = None


@dataclass
class Summary:
    """What is known of a model's layers and parameters.

    Attributes:
        layers: one per layer, parents before children.
        total_parameters: elements of all parameters.
        trainable_parameters: elements of those that require gradients.
        total_layer_params: elements of the parameters inside the listed layers.
        model_size: megabytes that the parameters take.
    """

    layers: list[LayerSummary]
    total_parameters: int
    trainable_parameters: int
    total_layer_params: int
    model_size: float

    def __str__(self) -> str:
        """The table, with the totals below."""
        rule, frozen = "-" * 72, self.total_parameters - self.trainable_parameters
        totals = [
            (_readable(self.trainable_parameters), "Trainable params"),
            (_readable(frozen), "Non-trainable params"),
            (_readable(self.total_parameters), "Total params"),
            (f"{self.model_size:,.3f}", "Size of the parameters (MB)"),
        ]
        below = [f"{number:<10}{what}" for number, what in totals]
        header, *rows = _aligned(_cells(self))
        return "\n".join([header, rule, *rows, rule, *below])


def summarize(model: nn.Module, max_depth: int = 1) -> Summary:
    """Describe the layers of a model.

    Args:
        model: any module; shapes are known where it has an `example_input_array`, on
            which `forward` then runs once, in eval mode and without gradients.
        max_depth: how deep to list layers within layers; -1 lists all, 0 none.
    """
    layers = {
        layer: LayerSummary(name, type(layer).__name__, _count(layer), layer.training)
        for name, layer in model.named_modules()
        if name and (max_depth < 0 or name.count(".") < max_depth)
    }
    example = getattr(model, "example_input_array", None)
    if example is not None:
        try:
            _record_sizes(model, example, layers)
        except Exception as error:  # the user's own forward, on the user's own example
            rank_zero_warn(
                "The model's summary is without shapes: forward failed on"
                f" example_input_array ({type(error).__name__}: {error})."
            )
    parameters = _initialized(model)
    return Summary(
        layers=list(layers.values()),
        total_parameters=_count(model),
        trainable_parameters=sum(p.numel() for p in parameters if p.requires_grad),
        total_layer_params=sum(_count(child) for child in model.children()),
        model_size=sum(p.numel() * p.element_size() for p in parameters) / 1e6,
    )


def _initialized(module: nn.Module) -> list[nn.Parameter]:
    """A module's parameters, without lazy ones that have no shape yet."""
    lazy = nn.parameter.UninitializedParameter
    return [p for p in module.parameters() if not isinstance(p, lazy)]


def _count(module: nn.Module) -> int:
    """Elements of all of a module's parameters."""
    return sum(p.numel() for p in _initialized(module))


def _record_sizes(
    model: nn.Module, example: Any, layers: dict[nn.Module, LayerSummary]
) -> None:
    """Run `forward` on the example and note the shapes that pass each layer."""

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        layer = layers[module]
        if layer.in_size is None:
            layer.in_size = _sizes(inputs[0] if len(inputs) == 1 else inputs)
            layer.out_size = _sizes(output)

    device = next((p.device for p in model.parameters()), torch.device("cpu"))
    example = tree_map_only(Tensor, lambda tensor: tensor.to(device), example)
    positional = example if isinstance(example, (tuple, list)) else (example,)
    forked, kind = ([], "cuda") if device.type == "cpu" else ([device], device.type)
    # Modes and random state stay as they are.
    with ExitStack() as stack, torch.no_grad():
        stack.enter_context(torch.random.fork_rng(forked, device_type=kind))
        for module in model.modules():
            stack.callback(setattr, module, "training", module.training)
        for module in layers:
            stack.callback(module.register_forward_hook(note).remove)
        model.eval()
        model(**example) if isinstance(example, dict) else model(*positional)


def _sizes(value: Any) -> Any:
    """Shape of a tensor, a list of shapes for several, None for anything else."""
    if isinstance(value, Tensor):
        return list(value.shape)
    items = list(value.values()) if isinstance(value, dict) else value
    return [_sizes(i) for i in items] if isinstance(items, (list, tuple)) else None


def _readable(count: int) -> str:
    """A count with a unit: 0, 123, 1.2 K, 3.4 M, 5.6 B."""
    step = min(int(math.log10(count)) // 3, 4) if count else 0
    return f"{count / 1000**step:,.1f} {' KMBT'[step]}" if step else f"{count}  "


def _cells(summary: Summary) -> list[list[str]]:
    """The table's rows, the header first."""
    rows = [["", "Name", "Type", "Params", "Mode", "In sizes", "Out sizes"]]
    for index, layer in enumerate(summary.layers):
        mode = "train" if layer.training else "eval"
        sizes = [str(layer.in_size or "?"), str(layer.out_size or "?")]
        count = _readable(layer.num_parameters)
        rows.append([str(index), layer.name, layer.layer_type, count, mode, *sizes])
    own = summary.total_parameters - summary.total_layer_params
    if own:
        rows.append(["", "other params", "n/a", _readable(own), *["n/a"] * 3])
    known = any(layer.in_size is not None for layer in summary.layers)
    return rows if known else [row[:5] for row in rows]


def _aligned(rows: list[list[str]]) -> list[str]:
    """Rows as lines whose columns stand under one another, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    formats = list(map("{}{}".format, "<<<><<<", widths))
    return [" | ".join(map(format, row, formats)).rstrip() for row in rows]


class ModelSummary(Callback):
    """Print a table of the model's layers when a fit starts.

    Shapes are shown where the module has an `example_input_array`.

    Args:
        max_depth: how deep to list layers within layers; -1 lists all, 0 prints nothing.
    """

    def __init__(self, max_depth: int = 1) -> None:
        self._max_depth = max_depth

    def on_fit_start(self, trainer: Trainer, pl_module: Module) -> None:
        """Print the table on rank 0; all ranks take part in the example's forward."""
        if self._max_depth:
            rank_zero_info(f"\n{summarize(pl_module, self._max_depth)}")


class RichModelSummary(ModelSummary):
    """`ModelSummary` under the name of Lightning's table for rich."""
