"""NaN and infinity in losses and gradients: found before they reach the weights."""

import pytest
import torch
from torch import nn

import scaffold_runtime as L
from scaffold_runtime.callbacks import ModelCheckpoint
from scaffold_runtime.errors import NonFiniteError
from scaffold_runtime.loops import finite, run
from tests.reliability.recorded_run import Samples, fit, loader

BAD = 5


class Sick(L.LightningModule):
    """Its loss, or only its gradient, is not finite at one batch of the first epoch."""

    sick_gradient = False

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 1)
        self.before = []

    def training_step(self, batch, batch_idx):
        self.before.append([p.detach().clone() for p in self.parameters()])
        loss = self.layer(batch[0]).square().mean()
        if self.trainer.progress.batches != BAD:
            return loss
        if self.sick_gradient:
            return loss + (self.layer.bias.sum() * 0).abs().sqrt()
        return loss * float("nan")

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters(), lr=0.1, fused=True)


class SickGradient(Sick):
    sick_gradient = True


@pytest.fixture(params=["at once", "a step later"])
def verdict(request, monkeypatch):
    """Both ways to decide; on a CPU the second is taken only here."""
    if request.param == "a step later":
        monkeypatch.setattr(
            run, "make_verdict", lambda _: finite.DelayedVerdict(scales=False)
        )
    return request.param


def data():
    return loader(dataset=Samples(augment=False))


class KeepModule(L.Callback):
    def __init__(self):
        self.module = None

    def setup(self, trainer, pl_module, stage):
        self.module = pl_module


def weights_after_the_stop(root, net, match, **options):
    kept = KeepModule()
    with pytest.raises(NonFiniteError, match=match):
        fit(root, kept, net=net, data=data(), **options)
    return kept.module


@pytest.mark.usefixtures("verdict")
def test_a_loss_that_is_nan_stops_the_run_and_names_the_batch(tmp_path):
    module = weights_after_the_stop(
        tmp_path, Sick, rf"\(epoch 0, batch {BAD}, step {BAD}\): the weights are still"
    )
    for parameter, before in zip(module.parameters(), module.before[BAD], strict=True):
        assert torch.equal(parameter, before)


@pytest.mark.usefixtures("verdict")
@pytest.mark.filterwarnings("ignore:.*this step is skipped")
def test_skip_passes_over_the_step_only(tmp_path):
    module = fit(tmp_path, net=Sick, data=data(), on_nonfinite="skip").module
    before, after, later = module.before[BAD : BAD + 3]
    assert all(map(torch.equal, before, after))
    assert not any(map(torch.equal, after, later))
    assert all(p.isfinite().all() for p in module.parameters())


def test_both_verdicts_skip_to_the_same_weights(tmp_path, monkeypatch):
    def weights():
        with pytest.warns(UserWarning, match="this step is skipped"):
            trainer = fit(tmp_path, net=Sick, data=data(), on_nonfinite="skip")
        return trainer.module.parameters()

    at_once = weights()
    monkeypatch.setattr(
        run, "make_verdict", lambda _: finite.DelayedVerdict(scales=False)
    )
    assert all(map(torch.equal, at_once, weights()))


@pytest.mark.usefixtures("verdict")
def test_accumulated_batches_share_their_verdict(tmp_path):
    module = weights_after_the_stop(
        tmp_path, Sick, "not finite|is nan", accumulate_grad_batches=4
    )
    for parameter, before in zip(module.parameters(), module.before[4], strict=True):
        assert torch.equal(parameter, before)


@pytest.mark.usefixtures("verdict")
@pytest.mark.parametrize(
    "options", [{"check_finite": "grad"}, {"gradient_clip_val": 1.0}]
)
def test_a_gradient_is_checked_where_it_is_asked_for_or_known(options, tmp_path):
    module = weights_after_the_stop(
        tmp_path, SickGradient, "gradient .*not finite|norm of batch 5 is", **options
    )
    assert all(p.isfinite().all() for p in module.parameters())


def test_a_gradient_is_not_checked_otherwise(tmp_path):
    trainer = fit(tmp_path, net=SickGradient, data=data(), check_finite=False)
    assert not all(p.isfinite().all() for p in trainer.module.parameters())


class SaveAtTheBadBatch(L.Callback):
    runs_last = True

    def __init__(self, path):
        self.path = path

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if batch_idx == BAD:
            trainer.save_checkpoint(self.path)


def test_nothing_is_saved_before_the_verdict_is_in(tmp_path, monkeypatch):
    monkeypatch.setattr(
        run, "make_verdict", lambda _: finite.DelayedVerdict(scales=False)
    )
    path = tmp_path / "bad.ckpt"
    with pytest.raises(NonFiniteError):
        fit(tmp_path, SaveAtTheBadBatch(path), net=Sick, data=data())
    assert not path.exists()


@pytest.mark.usefixtures("verdict")
def test_no_checkpoint_is_written_of_a_bad_state(tmp_path):
    callback = ModelCheckpoint(tmp_path, save_on_exception=True)
    with pytest.raises(NonFiniteError):
        fit(tmp_path, callback, net=Sick, data=data(), enable_checkpointing=True)
    assert list(tmp_path.glob("*.ckpt")) == []


def test_an_unknown_word_is_refused(tmp_path):
    with pytest.raises(L.errors.MisconfigurationError, match="True, False, 'grad'"):
        fit(tmp_path, check_finite="gradient")


class SickByClosure(Sick):
    def configure_optimizers(self):
        return torch.optim.LBFGS(self.parameters(), lr=0.1, max_iter=1)


def test_a_step_by_closure_stops_too(tmp_path):
    module = weights_after_the_stop(tmp_path, SickByClosure, "is nan")
    assert all(p.isfinite().all() for p in module.parameters())


class SkipsABatch(Sick):
    def training_step(self, batch, batch_idx):
        loss = self.layer(batch[0]).square().mean()
        return None if self.trainer.progress.batches == BAD else loss


@pytest.mark.usefixtures("verdict")
@pytest.mark.filterwarnings("ignore:training_step returned None")
def test_a_batch_without_a_loss_is_finite(tmp_path):
    trainer = fit(tmp_path, net=SkipsABatch, data=data())
    assert all(p.isfinite().all() for p in trainer.module.parameters())


def test_a_loss_of_several_elements_is_looked_at_whole(tmp_path):
    class Manual(Sick):
        automatic_optimization = False

        def training_step(self, batch, batch_idx):
            parts = self.layer(batch[0]).square().flatten()
            if self.trainer.progress.batches == BAD:
                parts = torch.cat([parts[:1], parts[1:] * float("nan")])
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(parts, gradient=torch.ones_like(parts))
            optimizer.step()

    keep = KeepModule()
    with pytest.raises(NonFiniteError, match=f"batch {BAD}"):
        fit(tmp_path, keep, data=data(), net=Manual)
    assert keep.module.trainer.global_step == BAD
    assert keep.module.layer.weight.isfinite().all()
