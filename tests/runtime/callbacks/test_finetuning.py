import pytest
import torch
from torch import nn

from scaffold_runtime.callbacks import (
    BackboneFinetuning,
    BaseFinetuning,
    LambdaCallback,
    ModelCheckpoint,
)


@pytest.fixture
def backbone_net(net):
    class WithBackbone(net):
        def __init__(self):
            super().__init__()
            self.backbone = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))

        def forward(self, x):
            return self.layer(self.backbone(x))

        def configure_optimizers(self):
            trainable = [p for p in self.parameters() if p.requires_grad]
            return torch.optim.SGD(trainable, lr=0.1)

    return WithBackbone


class Watch(LambdaCallback):
    """Records the optimizer's learning rates and the backbone's weight, by epoch."""

    def __init__(self):
        self.rates, self.weights = [], []
        super().__init__(on_train_epoch_end=self.record)

    def record(self, trainer, pl_module):
        groups = trainer.optimizers[0].param_groups
        self.rates.append([round(group["lr"], 6) for group in groups])
        self.weights.append(pl_module.backbone[0].weight.detach().clone())


def test_the_backbone_is_frozen_then_trained_with_a_growing_rate(
    backbone_net, make_trainer
):
    watch, model = Watch(), backbone_net()
    start = model.backbone[0].weight.detach().clone()
    callback = BackboneFinetuning(
        unfreeze_backbone_at_epoch=1,
        backbone_initial_ratio_lr=0.1,
        lambda_func=lambda epoch: 4.0,
    )
    make_trainer(callback, watch, max_epochs=4).fit(model)
    assert watch.rates == [[0.1], [0.1, 0.01], [0.1, 0.04], [0.1, 0.1]]
    assert torch.equal(watch.weights[0], start)
    assert not torch.equal(watch.weights[1], start)


def test_without_alignment_the_rate_passes_the_heads(backbone_net, make_trainer):
    watch = Watch()
    callback = BackboneFinetuning(
        unfreeze_backbone_at_epoch=0,
        backbone_initial_lr=0.08,
        lambda_func=lambda epoch: 2.0,
        should_align=False,
    )
    make_trainer(callback, watch, max_epochs=2).fit(backbone_net())
    assert watch.rates == [[0.1, 0.08], [0.1, 0.16]]


def test_a_resumed_run_goes_on_as_if_it_had_not_stopped(
    backbone_net, make_trainer, tmp_path
):
    def callback():
        return BackboneFinetuning(unfreeze_backbone_at_epoch=1)

    torch.manual_seed(1)
    whole = Watch()
    checkpoint = ModelCheckpoint(tmp_path, save_top_k=-1, filename="{epoch}")
    make_trainer(callback(), whole, checkpoint, max_epochs=4).fit(backbone_net())
    resumed = Watch()
    trainer = make_trainer(callback(), resumed, max_epochs=4)
    trainer.fit(backbone_net(), ckpt_path=tmp_path / "epoch=1.ckpt")
    assert resumed.rates == whole.rates[2:]
    assert torch.equal(resumed.weights[-1], whole.weights[-1])


def test_a_module_without_backbone_is_refused(net, make_trainer):
    with pytest.raises(ValueError, match="backbone"):
        make_trainer(BackboneFinetuning(), max_epochs=1).fit(net())


def test_freeze_leaves_batch_norm_to_be_trained_unless_told():
    for train_bn in (True, False):
        model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
        BaseFinetuning.freeze(model, train_bn=train_bn)
        assert not model[0].weight.requires_grad
        assert model[1].weight.requires_grad is train_bn
        assert model[1].track_running_stats is train_bn
        BaseFinetuning.make_trainable(model)
        assert model[0].weight.requires_grad and model[1].track_running_stats


def test_flatten_modules_finds_parents_with_parameters_of_their_own():
    class Parent(nn.Module):
        def __init__(self):
            super().__init__()
            self.own = nn.Parameter(torch.zeros(1))
            self.child = nn.Linear(1, 1)

    parent = Parent()
    nested = nn.ModuleDict({"a": nn.Sequential(parent), "b": nn.ReLU()})
    assert BaseFinetuning.flatten_modules(nested) == [
        parent,
        parent.child,
        nested["b"],
    ]
    assert len(list(BaseFinetuning.filter_params([nested]))) == 3


def test_parameters_that_the_optimizer_has_are_passed_over():
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD([model.weight], lr=1.0)
    with pytest.warns(UserWarning, match="optimizer"):
        BaseFinetuning.unfreeze_and_add_param_group(model, optimizer)
    assert [group["lr"] for group in optimizer.param_groups] == [1.0, 0.1]
    assert optimizer.param_groups[1]["params"] == [model.bias]


def test_an_epoch_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="unfreeze_backbone_at_epoch='2'"):
        BackboneFinetuning(unfreeze_backbone_at_epoch="2")
