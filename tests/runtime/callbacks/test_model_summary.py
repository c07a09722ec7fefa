import logging

from scaffold_runtime.callbacks import ModelSummary


def test_it_is_printed_when_a_fit_starts(net, make_trainer, caplog):
    with caplog.at_level(logging.INFO, logger="scaffold_runtime"):
        for callback, shown in ((ModelSummary(), True), (ModelSummary(0), False)):
            caplog.clear()
            make_trainer(callback, fast_dev_run=True, max_epochs=1).fit(net())
            assert ("layer" in caplog.text) is shown
            assert ("Total params" in caplog.text) is shown
