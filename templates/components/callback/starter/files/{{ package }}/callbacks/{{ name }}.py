"""{{ class_name }}: what it is for."""

{% if "_batch_" in hook | join(" ") or "on_before_optimizer_step" in hook %}
from typing import Any

{% endif %}
import scaffold_runtime as L


class {{ class_name }}(L.Callback):
    """Print a line at each of its hooks; put your own code there."""
{% for method in hook %}

    def {{ method }}(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
{% if method.endswith("batch_end") %}
        outputs: Any,
{% endif %}
{% if "_batch_" in method %}
        batch: Any,
        batch_idx: int,
{% endif %}
{% if method.startswith("on_validation_batch") %}
        dataloader_idx: int = 0,
{% endif %}
{% if method == "on_before_optimizer_step" %}
        optimizer: Any,
{% endif %}
    ) -> None:
        """Called by the trainer; see `L.Callback.{{ method }}`."""
        print(f"{{ class_name }}.{{ method }}: step {trainer.global_step}")
{% endfor %}
