"""The module outside the loop: where it is, what it prints, loads and exports."""

import copy
import io
import pickle

import pytest
import torch
from torch import nn

import scaffold_runtime as L
from tests.runtime.callbacks.conftest import loader


class Sized(L.LightningModule):
    """A layer whose width is a hyperparameter."""

    def __init__(self, width: int = 2, lr: float = 0.1):
        super().__init__()
        self.save_hyperparameters()
        self.layer = nn.Linear(2, width)

    def forward(self, x):
        return self.layer(x)

    def training_step(self, batch, batch_idx):
        return self(batch[0]).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=self.hparams.lr)


@pytest.fixture
def saved(make_trainer, tmp_path):
    """A checkpoint of `Sized(width=3)` and the module."""
    module = Sized(width=3)
    trainer = make_trainer(max_epochs=1)
    trainer.fit(module, loader())
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    return tmp_path / "x.ckpt", module


def test_a_module_without_a_trainer_knows_itself():
    module = Sized()
    assert (module.current_epoch, module.global_step) == (0, 0)
    assert (module.global_rank, module.local_rank) == (0, 0)
    assert (module.device, module.dtype) == (torch.device("cpu"), torch.float32)
    assert (module.logger, module.loggers, module.on_gpu) == (None, [], False)
    with pytest.raises(RuntimeError, match="Sized is not attached to a Trainer"):
        _ = module.trainer


def test_a_module_in_a_run_sees_its_counters(make_trainer):
    seen = []

    class Watching(Sized):
        def training_step(self, batch, batch_idx):
            seen.append((self.current_epoch, self.global_step))
            return super().training_step(batch, batch_idx)

    make_trainer(max_epochs=2, limit_train_batches=2).fit(Watching(), loader())
    assert seen == [(0, 0), (0, 1), (1, 2), (1, 3)]


def test_load_from_checkpoint_makes_the_module_again(saved):
    path, module = saved
    loaded = Sized.load_from_checkpoint(path)
    assert (loaded.hparams.width, loaded.hparams.lr) == (3, 0.1)
    assert torch.equal(loaded.layer.weight, module.layer.weight)


def test_keyword_arguments_come_before_the_file_that_takes_the_place_of_the_saved(
    saved, tmp_path
):
    (tmp_path / "hparams.yaml").write_text("lr: 0.5\nwidth: 3\n")
    path = saved[0]
    assert Sized.load_from_checkpoint(path, lr=0.7).hparams.lr == 0.7
    hparams = {"hparams_file": tmp_path / "hparams.yaml"}
    assert Sized.load_from_checkpoint(path, **hparams).hparams.lr == 0.5
    assert Sized.load_from_checkpoint(path, **hparams, lr=0.7).hparams.lr == 0.7
    (tmp_path / "hparams.yaml").write_text("lr: 0.5\n")
    with pytest.raises(L.CheckpointError, match=r"\(3, 2\).*\(2, 2\)"):
        Sized.load_from_checkpoint(path, **hparams)


def test_a_checkpoint_that_does_not_fit_names_the_weight(saved):
    with pytest.raises(L.CheckpointError, match=r"layer.weight.*\(3, 2\).*\(5, 2\)"):
        Sized.load_from_checkpoint(saved[0], width=5)


def test_a_checkpoint_may_be_read_from_what_is_open(saved):
    path, module = saved
    with open(path, "rb") as file:
        kept = io.BytesIO(file.read())
        file.seek(0)
        for opened in (file, kept):
            loaded = Sized.load_from_checkpoint(opened)
            assert torch.equal(loaded.layer.weight, module.layer.weight)
    with pytest.raises(L.CheckpointError, match="checkpoint bytes is damaged"):
        Sized.load_from_checkpoint(io.BytesIO(b"no archive"))


def test_the_module_goes_where_its_weights_were_sent(saved):
    class Noting(Sized):
        def to(self, device):
            self.sent = device
            return super().to(device)

    assert Noting.load_from_checkpoint(saved[0]).sent == torch.device("cpu")


def test_a_missing_argument_is_named(saved):
    class Needy(Sized):
        def __init__(self, depth):
            super().__init__()

    with pytest.raises(L.CheckpointError, match="Needy needs 'depth'"):
        Needy.load_from_checkpoint(saved[0])


def test_strictness_is_the_modules_or_the_callers(saved):
    class Extended(Sized):
        def __init__(self, width=3, lr=0.1):
            super().__init__(width, lr)
            self.more = nn.Linear(1, 1)

    with pytest.raises(L.CheckpointError, match=r"more\.weight"):
        Extended.load_from_checkpoint(saved[0])
    assert Extended.load_from_checkpoint(saved[0], strict=False)


@pytest.mark.parametrize(
    ("content", "says"), [("lr: [", "cannot be read"), ("5", "no mapping")]
)
def test_a_broken_hyperparameter_file_is_named(content, says, saved, tmp_path):
    (tmp_path / "h.yaml").write_text(content)
    with pytest.raises(L.CheckpointError, match=says):
        Sized.load_from_checkpoint(saved[0], hparams_file=tmp_path / "h.yaml")


@pytest.mark.parametrize(
    "copied", [copy.deepcopy, lambda module: pickle.loads(pickle.dumps(module))]
)
def test_a_copy_is_part_of_no_run(copied, make_trainer):
    trainer = make_trainer(max_epochs=1)
    module = Sized()
    trainer.fit(module, loader())
    again = copied(module)
    assert torch.equal(again.layer.weight, module.layer.weight)
    with pytest.raises(RuntimeError, match="not attached to a Trainer"):
        _ = again.trainer
    assert module.trainer is trainer


def test_freezing_stops_gradients_and_training_mode():
    module = Sized()
    module.freeze()
    assert not module.training
    assert not any(parameter.requires_grad for parameter in module.parameters())
    module.unfreeze()
    assert module.training
    assert all(parameter.requires_grad for parameter in module.parameters())


def test_print_prints_in_a_run_and_outside(make_trainer, capsys):
    class Talking(Sized):
        def on_train_start(self):
            self.print("within")

    module = Talking()
    module.print("outside")
    make_trainer(max_epochs=1).fit(module, loader())
    assert capsys.readouterr().out.splitlines() == ["outside", "within"]


def test_all_gather_of_one_process_is_what_it_is_given(make_trainer):
    gathered = []

    class Gathering(Sized):
        def on_train_start(self):
            nest = {"a": torch.ones(2), "b": [torch.zeros(1), "text"]}
            gathered.append(self.all_gather(nest))

    make_trainer(max_epochs=1).fit(Gathering(), loader())
    assert gathered[0]["a"].shape == (2,)
    assert gathered[0]["b"][1] == "text"


def test_torchscript_is_refused_with_what_to_use_instead():
    with pytest.raises(L.MisconfigurationError, match=r"to_onnx|torch\.export"):
        Sized().to_torchscript()


def test_onnx_needs_an_input():
    with pytest.raises(L.MisconfigurationError, match="example_input_array"):
        Sized().to_onnx("x.onnx")


def test_own_clipping_replaces_the_trainers(make_trainer):
    given, largest = [], []

    class Clipping(Sized):
        def configure_gradient_clipping(
            self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None
        ):
            given.append((gradient_clip_val, gradient_clip_algorithm))
            self.clip_gradients(optimizer, 0.001, "value")

        def on_before_zero_grad(self, optimizer):
            gradients = [p.grad for p in self.parameters() if p.grad is not None]
            largest.extend(gradient.abs().max().item() for gradient in gradients)

    make_trainer(max_epochs=1, gradient_clip_val=0.5).fit(Clipping(), loader())
    assert given == [(0.5, None)] * 4
    assert 0 < max(largest) <= 0.0010001


def test_an_unknown_clipping_is_refused(make_trainer):
    class Clipping(Sized):
        def configure_gradient_clipping(self, optimizer, **arguments):
            self.clip_gradients(optimizer, 0.1, "norms")

    with pytest.raises(L.MisconfigurationError, match="norms"):
        make_trainer(max_epochs=1).fit(Clipping(), loader())


def test_an_optimizer_step_that_forgets_its_closure_is_refused(make_trainer):
    class Forgetting(Sized):
        def optimizer_step(self, epoch, batch_idx, optimizer, optimizer_closure):
            pass

    with pytest.raises(L.MisconfigurationError, match="optimizer_closure"):
        make_trainer(max_epochs=1).fit(Forgetting(), loader())


def test_layers_may_be_built_when_the_run_starts_in_its_precision(make_trainer):
    class Late(Sized):
        def __init__(self):
            super().__init__()
            self.late = None

        def configure_model(self):
            if self.late is None:
                self.late = nn.Linear(2, 2)
                self.made_as = self.late.weight.dtype

        def forward(self, x):
            return self.late(x)

    module = Late()
    make_trainer(max_epochs=1, precision="64-true").fit(module, loader())
    assert module.made_as is module.late.weight.dtype is torch.float64


def test_checkpoint_hooks_may_add_plain_data(make_trainer, tmp_path):
    class Noting(Sized):
        note = None

        def on_save_checkpoint(self, checkpoint):
            checkpoint["note"] = [1, 2]

        def on_load_checkpoint(self, checkpoint):
            self.note = checkpoint["note"]

    trainer = make_trainer(max_epochs=1)
    trainer.fit(Noting(), loader())
    trainer.save_checkpoint(tmp_path / "x.ckpt")
    assert Noting.load_from_checkpoint(tmp_path / "x.ckpt").note == [1, 2]


def test_logging_works_within_a_compiled_step(make_trainer):
    class Compiled(Sized):
        def training_step(self, batch, batch_idx):
            loss = super().training_step(batch, batch_idx)
            self.log("loss", loss)
            return loss

    module = Compiled()
    module.training_step = torch.compile(module.training_step, backend="eager")
    trainer = make_trainer(max_epochs=1)
    trainer.fit(module, loader())
    assert "loss" in trainer.callback_metrics


def test_an_optimizer_for_manual_steps_is_an_optimizer(net, make_trainer):
    class Manual(net):
        automatic_optimization = False

        def training_step(self, batch, batch_idx):
            assert isinstance(self.optimizers(), torch.optim.SGD)
            assert self.optimizers().param_groups[0]["lr"] == 0.01

    make_trainer(max_epochs=1).fit(Manual())


def test_modules_within_a_module_see_the_trainer(make_trainer):
    seen = []

    class Inner(Sized):
        def forward(self, x):
            seen.append((self.trainer.global_step, self.current_epoch))
            return super().forward(x)

    class Outer(Sized):
        def __init__(self):
            super().__init__()
            self.inner = Inner()

        def forward(self, x):
            return self.inner(x)

    module, trainer = Outer(), make_trainer(max_epochs=1)
    trainer.fit(module, loader(samples=16))
    assert seen == [(0, 0), (1, 0)]
    assert module.inner.trainer is module.trainer is trainer
