"""Where Lightning's documentation imports small things from."""

from typing import Any

import torch
from torch.linalg import vector_norm

from scaffold_runtime.combined_loader import CombinedLoader
from scaffold_runtime.engine import move_batch
from scaffold_runtime.errors import MisconfigurationError, missing_name
from scaffold_runtime.hyperparameters import AttributeDict
from scaffold_runtime.launch import rank_zero_info, rank_zero_only, rank_zero_warn

__all__ = [
    "AttributeDict",
    "CombinedLoader",
    "grad_norm",
    "move_data_to_device",
    "rank_zero_info",
    "rank_zero_only",
    "rank_zero_warn",
]

_INSTEAD = {
    "measure_flops": "use torch.utils.flop_counter.FlopCounterMode",
    "find_shared_parameters": "use named_parameters(remove_duplicate=False)",
}


def grad_norm(
    module: torch.nn.Module, norm_type: float | str, group_separator: str = "/"
) -> dict[str, torch.Tensor]:
    """The norm of each parameter's gradient, and of all together, fit for `log_dict`.

    Args:
        module: the module.
        norm_type: the p of the p-norm, above 0; `inf` is the maximum.
        group_separator: stands between the norm's name and the parameter's.
    """
    p = float(norm_type)
    if p <= 0:
        raise MisconfigurationError(f"norm_type={norm_type} must be above 0 or 'inf'.")
    norms = {
        f"grad_{p}_norm{group_separator}{name}": vector_norm(parameter.grad.detach(), p)
        for name, parameter in module.named_parameters()
        if parameter.grad is not None
    }
    total = torch.nn.utils.get_total_norm(norms.values(), p)
    return norms | ({f"grad_{p}_norm_total": total} if norms else {})


def move_data_to_device(batch: Any, device: torch.device | str) -> Any:
    """The batch, of any nesting, with its tensors on the device."""
    return move_batch(batch, torch.device(device))


def __getattr__(name: str) -> Any:
    raise missing_name(__name__, name, _INSTEAD)
