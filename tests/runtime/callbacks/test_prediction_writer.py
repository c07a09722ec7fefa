import pytest
import torch

from scaffold_runtime.callbacks import BasePredictionWriter
from scaffold_runtime.errors import MisconfigurationError


class Writer(BasePredictionWriter):
    def __init__(self, interval):
        super().__init__(interval)
        self.batches, self.epochs = [], []

    def write_on_batch_end(
        self, trainer, pl_module, prediction, indices, batch, batch_idx, dataloader_idx
    ):
        self.batches.append((prediction, indices, batch_idx, dataloader_idx))

    def write_on_epoch_end(self, trainer, pl_module, predictions, batch_indices):
        self.epochs.append((predictions, batch_indices))


@pytest.mark.parametrize(
    ("interval", "batches", "epochs"),
    [("batch", 4, 0), ("epoch", 0, 1), ("batch_and_epoch", 4, 1)],
)
def test_writes_when_asked_to(net, make_trainer, interval, batches, epochs):
    writer, model = Writer(interval), net()
    make_trainer(writer).predict(model, return_predictions=False)
    assert (len(writer.batches), len(writer.epochs)) == (batches, epochs)


def test_gives_predictions_with_their_indices(net, make_trainer):
    writer, model = Writer("batch_and_epoch"), net()
    model.eval()
    returned = make_trainer(writer).predict(model)
    assert [batch_idx for _, _, batch_idx, _ in writer.batches] == [0, 1, 2, 3]
    assert [list(indices) for _, indices, _, _ in writer.batches] == [
        list(range(start, start + 8)) for start in range(0, 32, 8)
    ]
    ((predictions, indices),) = writer.epochs
    for written, ((prediction, _, _, _), out) in zip(
        predictions, zip(writer.batches, returned, strict=True), strict=True
    ):
        assert torch.equal(written, prediction) and torch.equal(written, out)
    assert [index for batch in indices[0] for index in batch] == list(range(32))


def test_an_unknown_interval_is_refused():
    with pytest.raises(MisconfigurationError, match="batch_and_epoch"):
        BasePredictionWriter("always")


def test_where_the_order_is_not_known_there_are_no_indices(net, make_trainer):
    class Stream(torch.utils.data.IterableDataset):
        def __iter__(self):
            yield from [(torch.ones(2), torch.ones(1))] * 4

    writer = Writer("batch_and_epoch")
    loader = torch.utils.data.DataLoader(Stream(), batch_size=2)
    make_trainer(writer).predict(net(), loader)
    assert [indices for _, indices, _, _ in writer.batches] == [[], []]
    assert [indices for _, indices in writer.epochs] == [[[]]]
