import pytest

from scaffold_runtime.callbacks import LambdaCallback


def test_calls_functions_with_the_hooks_arguments(net, make_trainer):
    calls = []
    callback = LambdaCallback(
        setup=lambda trainer, pl_module, stage: calls.append(stage),
        on_train_batch_end=lambda trainer, module, outputs, batch, batch_idx: (
            calls.append(batch_idx)
        ),
        on_train_end=lambda trainer, pl_module: calls.append("end"),
        on_fit_end=None,
    )
    make_trainer(callback, max_epochs=1).fit(net())
    assert calls == ["fit", 0, 1, 2, 3, "end"]


@pytest.mark.parametrize("name", ["on_train_bach_end", "state_dict"])
def test_an_unknown_hook_is_refused(name):
    with pytest.raises(TypeError, match=name):
        LambdaCallback(**{name: print})


def test_what_is_no_function_is_refused():
    with pytest.raises(ValueError, match="setup=3 must be a function"):
        LambdaCallback(setup=3)
