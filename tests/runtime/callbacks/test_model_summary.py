import logging

import pytest
import torch
from torch import nn

import scaffold_runtime as L
from scaffold_runtime.callbacks.model_summary import ModelSummary, summarize


class Model(L.LightningModule):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.Dropout(0.5), nn.LSTM(4, 5))
        self.head = nn.Linear(5, 2, bias=False)
        self.head.weight.requires_grad = False
        self.scale = nn.Parameter(torch.ones(7))
        self.example_input_array = torch.zeros(6, 3)

    def forward(self, x):
        return self.head(self.body(x)[0])


def by_name(model, **options):
    return {layer.name: layer for layer in summarize(model, **options).layers}


def test_counts_parameters():
    summary = summarize(Model())
    body = 4 * 3 + 4 + 4 * 5 * (4 + 5 + 2)
    assert [layer.num_parameters for layer in summary.layers] == [body, 10]
    assert summary.total_parameters == body + 10 + 7
    assert summary.trainable_parameters == body + 7
    assert summary.total_layer_params == body + 10
    assert summary.model_size == pytest.approx((body + 17) * 4 / 1e6)


def test_depth():
    assert list(by_name(Model())) == ["body", "head"]
    deep = ["body", "body.0", "body.1", "body.2", "head"]
    assert list(by_name(Model(), max_depth=2)) == deep
    assert list(by_name(Model(), max_depth=-1)) == deep


def test_shapes_from_the_example():
    layers = by_name(Model(), max_depth=2)
    assert layers["body"].in_size == [6, 3]
    assert layers["body.0"].out_size == [6, 4]
    assert layers["body.2"].out_size == [[6, 5], [[1, 5], [1, 5]]]
    assert layers["head"].out_size == [6, 2]


def test_examples_with_several_inputs():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Bilinear(2, 3, 4)

        def forward(self, a, b):
            return self.layer(a, b)

    a, b = torch.zeros(5, 2), torch.zeros(5, 3)
    for example in ((a, b), {"a": a, "b": b}):
        model = Two()
        model.example_input_array = example
        assert by_name(model)["layer"].in_size == [[5, 2], [5, 3]]


def test_leaves_no_trace():
    model = Model()
    model.body[1].eval()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    layers = by_name(model, max_depth=2)
    assert torch.equal(torch.get_rng_state(), before)
    assert [model.training, model.body[1].training] == [True, False]
    assert [layers["body.0"].training, layers["body.1"].training] == [True, False]
    assert not model.head._forward_hooks


def test_a_failing_example_costs_only_the_shapes():
    model = Model()
    model.example_input_array = torch.zeros(6, 99)
    with pytest.warns(UserWarning, match="without shapes"):
        summary = summarize(model)
    assert summary.layers[0].in_size is None
    assert model.training
    assert "In sizes" not in str(summary)


def test_the_table_reads():
    lines = [line.rstrip() for line in str(summarize(Model())).splitlines()]
    assert (
        lines[0]
        == "  | Name         | Type       | Params | Mode  | In sizes | Out sizes"
    )
    assert (
        lines[2]
        == "0 | body         | Sequential |  236   | train | [6, 3]   | [[6, 5], [[1, 5], [1, 5]]]"
    )
    assert lines[4].startswith("  | other params | n/a        |    7")
    assert lines[-3].startswith("10") and lines[-3].endswith("Non-trainable params")


def test_a_model_without_parameters():
    assert "Total params" in str(summarize(nn.Sequential(nn.ReLU())))


def test_it_is_printed_when_a_fit_starts(net, make_trainer, caplog):
    with caplog.at_level(logging.INFO, logger="scaffold_runtime"):
        for callback, shown in ((ModelSummary(), True), (ModelSummary(0), False)):
            caplog.clear()
            make_trainer(callback, fast_dev_run=True, max_epochs=1).fit(net())
            assert ("layer" in caplog.text) is shown
            assert ("Total params" in caplog.text) is shown
