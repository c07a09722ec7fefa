"""How far generated images are from real ones: a two-sample statistic."""

import torch
from scaffold_runtime import DataError
from torch import Tensor
from torch.nn.functional import pdist


def squared_mmd(real: Tensor, generated: Tensor) -> Tensor:  # (N, D), (M, D) -> ()
    """The squared maximum mean discrepancy between two samples.

    The unbiased estimate of Gretton et al. 2012 (equation 3), with a Gaussian kernel as
    wide as the median distance between real samples (section 8):
    https://jmlr.org/papers/v13/gretton12a.html. Two samples of one distribution give zero
    on average, and now and then a little less.

    Raises:
        DataError: There are fewer than two real or two generated samples.
    """
    if min(len(real), len(generated)) < 2:
        raise DataError(
            "The MMD compares at least two images: use more data to validate and test."
        )
    among_real, among_generated = pdist(real), pdist(generated)
    # Where most real images are alike, their median distance is zero.
    width = among_real.median().clamp(min=1e-6)

    def likeness(distances: Tensor) -> Tensor:
        return torch.exp(-0.5 * (distances / width) ** 2).mean()

    between = likeness(torch.cdist(real, generated))
    return likeness(among_real) + likeness(among_generated) - 2 * between
