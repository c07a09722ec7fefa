"""`ModelSummary`: a table of a model's layers."""

from __future__ import annotations

import math
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map_only

from scaffold_runtime.errors import MisconfigurationError
from scaffold_runtime.launch import rank_zero_warn

UNKNOWN_SIZE = "?"


@dataclass
class LayerSummary:
    """One line of the table.

    Attributes:
        name: the layer's dotted name in the model.
        layer_type: its class name.
        num_parameters: elements of all its parameters, over all ranks.
        training: it is in training mode.
        in_size: shape of its input, or a list of shapes; `?` where unknown.
        out_size: the same for its output.
    """

    name: str
    layer_type: str
    num_parameters: int
    training: bool
    in_size: Any = UNKNOWN_SIZE
    out_size: Any = UNKNOWN_SIZE


class ModelSummary:
    """A table of a model's layers, and what is known of them and of all parameters.

    Args:
        model: any module; shapes are known where it has an `example_input_array`, on
            which `forward` then runs once, in eval mode and without gradients.
        max_depth: how deep to list layers within layers; -1 lists all, 0 none.

    Attributes:
        layers: a `LayerSummary` of each, parents before children. What these know is in
            lists too: `layer_names`, `layer_types`, `param_nums`, `training_modes`,
            `in_sizes`, `out_sizes`.
        total_training_modes: how many modules are in which mode, `train` or `eval`.
        total_parameters: elements of all parameters.
        trainable_parameters: elements of those that require gradients.
        total_layer_params: elements of the parameters of the listed layers.
        model_size: megabytes that the parameters take.

    Raises:
        MisconfigurationError: `max_depth` is no whole number from -1.
    """

    def __init__(self, model: nn.Module, max_depth: int = 1) -> None:
        if not isinstance(max_depth, int) or max_depth < -1:
            raise MisconfigurationError(
                f"max_depth={max_depth!r} must be a number of levels, or -1 for all."
            )
        found = {
            own: LayerSummary(name, type(own).__name__, _count(own), own.training)
            for name, own in model.named_modules()
            if name and (max_depth < 0 or name.count(".") < max_depth)
        }
        example = getattr(model, "example_input_array", None)
        if example is not None:
            try:
                _record_sizes(model, example, found)
            except Exception as error:  # the user's forward on the user's example
                rank_zero_warn(
                    "The model's summary is without shapes: forward failed on"
                    f" example_input_array ({type(error).__name__}: {error})."
                )
        self.layers = layers = list(found.values())
        self.layer_names = [layer.name for layer in layers]
        self.layer_types = [layer.layer_type for layer in layers]
        self.param_nums = [layer.num_parameters for layer in layers]
        self.training_modes = [layer.training for layer in layers]
        self.in_sizes = [layer.in_size for layer in layers]
        self.out_sizes = [layer.out_size for layer in layers]
        modes = Counter(own.training for own in model.modules() if own != model)
        self.total_training_modes = {"train": modes[True], "eval": modes[False]}
        known = _initialized(model)
        self.total_parameters = _count(model)
        self.trainable_parameters = sum(p.numel() for p in known if p.requires_grad)
        self.total_layer_params = sum(self.param_nums)
        self.model_size = sum(p.numel() * p.element_size() for p in known) / 1e6
        self._own = self.total_parameters - sum(map(_count, model.children()))

    def __str__(self) -> str:
        """The table, with the totals below."""
        trainable, everything = self.trainable_parameters, self.total_parameters
        totals = [
            (get_human_readable_count(trainable), "Trainable params"),
            (get_human_readable_count(everything - trainable), "Non-trainable params"),
            (get_human_readable_count(everything), "Total params"),
            (f"{self.model_size:,.3f}", "Size of the parameters (MB)"),
        ]
        below = [f"{number:<10}{what}" for number, what in totals]
        rule, (header, *rows) = "-" * 72, _aligned(self._cells())
        return "\n".join([header, rule, *rows, rule, *below])

    def _cells(self) -> list[list[str]]:
        """The table's rows, the header first."""
        rows = [["", "Name", "Type", "Params", "Mode", "In sizes", "Out sizes"]]
        for index, layer in enumerate(self.layers):
            mode = "train" if layer.training else "eval"
            sizes = [str(layer.in_size), str(layer.out_size)]
            count = get_human_readable_count(layer.num_parameters)
            rows.append([str(index), layer.name, layer.layer_type, count, mode, *sizes])
        if self._own:
            count = get_human_readable_count(self._own)
            rows.append(["", "other params", "n/a", count, *["n/a"] * 3])
        known = any(size != UNKNOWN_SIZE for size in self.in_sizes)
        return rows if known else [row[:5] for row in rows]


def summarize(lightning_module: nn.Module, max_depth: int = 1) -> ModelSummary:
    """Make a `ModelSummary`."""
    return ModelSummary(lightning_module, max_depth)


def _initialized(module: nn.Module) -> list[nn.Parameter]:
    """A module's parameters, without lazy ones that have no shape yet."""
    return [p for p in module.parameters() if not nn.parameter.is_lazy(p)]


def _count(module: nn.Module) -> int:
    """Elements of all of a module's parameters."""
    return sum(p.numel() for p in _initialized(module))


def _record_sizes(
    model: nn.Module, example: Any, layers: dict[nn.Module, LayerSummary]
) -> None:
    """Run `forward` on the example and note the shapes that pass each layer."""

    def note(module: nn.Module, inputs: Any, output: Any) -> None:
        layer = layers[module]
        if layer.in_size == UNKNOWN_SIZE:
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
    """Shape of a tensor, a list of shapes for several, `?` for anything else."""
    if isinstance(value, Tensor):
        return list(value.shape)
    items = list(value.values()) if isinstance(value, dict) else value
    several = isinstance(items, (list, tuple))
    return [_sizes(item) for item in items] if several else UNKNOWN_SIZE


def get_human_readable_count(number: int) -> str:
    """A count with a unit: 0, 123, 1.2 K, 3.4 M, 5.6 B, 123 T."""
    step = min(int(math.log10(number)) // 3, 4) if number else 0
    scaled = number / 1000**step
    shown = f"{scaled:,.1f}" if step and scaled < 100 else f"{int(scaled):,d}"
    return f"{shown} {' KMBT'[step]}"


def _aligned(rows: list[list[str]]) -> list[str]:
    """Rows as lines whose columns stand under one another, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    formats = list(map("{}{}".format, "<<<><<<", widths))
    return [" | ".join(map(format, row, formats)).rstrip() for row in rows]
