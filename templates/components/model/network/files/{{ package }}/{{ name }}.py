#% set network = architecture(arch, input)
#% set shape = "(" ~ input.replace("x", ", ") ~ ")"
#% set classes = network[-1].shape[0]
"""{{ class_name }}: a network for images of one size."""

from scaffold_runtime import DataError
from torch import nn

from {{ package }}.images import Shape
from {{ package }}.model import Model


class {{ class_name }}(Model):
    """{{ (arch ~ ".") | wordwrap(80) | indent(4) }}

    Loss, metrics and optimizer are those of `Model`.

    Args:
        image_shape: {{ shape }}; taken from the data.
        classes: The names of {{ classes }} classes; taken from the data.
        learning_rate: As `Model`'s.
        warmup_steps: As `Model`'s.
        weight_decay: As `Model`'s.

    Raises:
        DataError: The data has other images, or another number of classes.
    """

    def __init__(
        self,
        image_shape: Shape,
        classes: list[str],
        learning_rate: float = 3e-3,
        warmup_steps: int = 50,
        weight_decay: float = 0.05,
    ) -> None:
        super().__init__(
            image_shape,
            classes,
            widths=(),
            learning_rate=learning_rate,
            warmup_steps=warmup_steps,
            weight_decay=weight_decay,
        )
        if (*image_shape, len(classes)) != ({{ input.replace("x", ", ") }}, {{ classes }}):
            raise DataError(
                "{{ class_name }} is for {{ classes }} classes of images {{ shape }}, not for "
                f"{len(classes)} of {tuple(image_shape)}: change its layers."
            )
        self.stages = nn.Sequential(
#% for layer in network[:-1]
            {{ layer.code }},  # {{ layer.shape }}
#% endfor
        )
        self.head = {{ network[-1].code }}
