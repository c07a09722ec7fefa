import math
import os
import re
from datetime import timedelta
from pathlib import Path

import pytest
import torch
import yaml

import scaffold_runtime as L
from scaffold_runtime.callbacks import ModelCheckpoint
from scaffold_runtime.errors import CheckpointError, MisconfigurationError


def names(folder) -> set[str]:
    return {
        str(path.relative_to(folder)) for path in Path(folder).rglob("*.ckpt*")
    }  # a name that is left half-written would show


# --- names ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filename", "metrics", "expected"),
    [
        (None, {"epoch": 3, "step": 40}, "epoch=3-step=40.ckpt"),
        ("{epoch:03d}", {"epoch": 5}, "epoch=005.ckpt"),
        (
            "{epoch}-{val_loss:.2f}",
            {"epoch": 2, "val_loss": 0.123456},
            "epoch=2-val_loss=0.12.ckpt",
        ),
        ("{missing:d}", {}, "missing=0.ckpt"),
        ("{val/acc:.1f}", {"val/acc": 0.5}, os.path.join("val", "acc=0.5.ckpt")),
        ("plain", {}, "plain.ckpt"),
    ],
)
def test_names_are_filled_in(filename, metrics, expected):
    metrics = {name: torch.tensor(value) for name, value in metrics.items()}
    assert ModelCheckpoint(filename=filename).format_checkpoint_name(metrics) == (
        expected
    )


def test_names_without_the_metrics_name():
    callback = ModelCheckpoint(
        filename="at-{epoch}-{val/acc:.2f}", auto_insert_metric_name=False
    )
    metrics = {"epoch": torch.tensor(1), "val/acc": torch.tensor(0.5)}
    assert callback.format_checkpoint_name(metrics) == "at-1-0.50.ckpt"


def test_names_with_version_and_prefix(tmp_path):
    callback = ModelCheckpoint(dirpath=tmp_path)
    path = callback.format_checkpoint_name({}, ver=2, prefix="pre")
    assert path == str(tmp_path / "pre-epoch=0-step=0-v2.ckpt")


# --- when it saves --------------------------------------------------------------------


def test_by_default_only_the_newest_epoch_is_kept(net, make_trainer, tmp_path):
    callback = ModelCheckpoint(dirpath=tmp_path / "c")
    make_trainer(callback, max_epochs=3).fit(net())
    assert names(tmp_path / "c") == {"epoch=2-step=12.ckpt"}
    assert callback.best_model_path == str(tmp_path / "c" / "epoch=2-step=12.ckpt")


def test_every_n_epochs(net, make_trainer, tmp_path):
    callback = ModelCheckpoint(dirpath=tmp_path / "c", every_n_epochs=2, save_top_k=-1)
    make_trainer(callback, max_epochs=5).fit(net())
    assert names(tmp_path / "c") == {"epoch=1-step=8.ckpt", "epoch=3-step=16.ckpt"}


def test_every_n_train_steps_counts_optimizer_steps(net, make_trainer, tmp_path):
    callback = ModelCheckpoint(
        dirpath=tmp_path / "c", every_n_train_steps=3, save_top_k=-1
    )
    make_trainer(callback, max_epochs=4, accumulate_grad_batches=2).fit(net())
    assert names(tmp_path / "c") == {"epoch=1-step=3.ckpt", "epoch=2-step=6.ckpt"}


def test_train_time_interval(net, make_trainer, tmp_path):
    for interval, expected in ((timedelta(0), 8), (timedelta(hours=1), 0)):
        folder = tmp_path / str(expected)
        callback = ModelCheckpoint(folder, train_time_interval=interval, save_top_k=-1)
        make_trainer(callback, max_epochs=2).fit(net())
        assert len(names(folder)) == expected


def test_a_step_is_saved_once(net, make_trainer, tmp_path):
    saved = []

    class Spy(L.Callback):
        def on_save_checkpoint(self, trainer, pl_module, checkpoint):
            saved.append(trainer.global_step)

    callback = ModelCheckpoint(dirpath=tmp_path / "c", every_n_train_steps=1)
    make_trainer(callback, Spy(), max_epochs=2).fit(net())
    assert saved == list(range(1, 9))


def test_the_save_waits_for_the_validation_that_follows(net, make_trainer, tmp_path):
    """The score is that of the validation after the step, not of the one before."""
    callback = ModelCheckpoint(
        tmp_path / "c",
        filename="{step}-{val_loss}",
        monitor="val_loss",
        every_n_train_steps=4,
        save_top_k=-1,
    )
    make_trainer(callback, max_epochs=2).fit(net(values=[3.0, 1.0]))
    assert names(tmp_path / "c") == {
        "step=4-val_loss=3.0.ckpt",
        "step=8-val_loss=1.0.ckpt",
    }


def test_validation_in_mid_epoch_saves_each_time(net, make_trainer, tmp_path):
    callback = ModelCheckpoint(tmp_path / "c", monitor="val_loss", save_top_k=-1)
    trainer = make_trainer(callback, max_epochs=1, val_check_interval=0.5)
    trainer.fit(net(values=[2.0, 1.0]))
    assert names(tmp_path / "c") == {"epoch=0-step=2.ckpt", "epoch=0-step=4.ckpt"}


@pytest.mark.parametrize("at_train_epoch_end", [True, False])
def test_save_on_train_epoch_end_decides(
    net, make_trainer, tmp_path, at_train_epoch_end
):
    seen = []

    class Order(L.Callback):
        def on_save_checkpoint(self, trainer, pl_module, checkpoint):
            seen.append("save")

        def on_validation_end(self, trainer, pl_module):
            seen.append("validation")

        def on_train_epoch_end(self, trainer, pl_module):
            seen.append("epoch")

    callback = ModelCheckpoint(
        tmp_path / "c", save_on_train_epoch_end=at_train_epoch_end
    )
    make_trainer(callback, Order(), max_epochs=1).fit(net())
    after_epoch = ["validation", "epoch", "save"]
    assert seen == (
        after_epoch if at_train_epoch_end else ["validation", "save", "epoch"]
    )


@pytest.mark.parametrize(
    "options",
    [{"fast_dev_run": True}, {"max_epochs": 0}, {"limit_train_batches": 0}],
)
def test_nothing_is_saved_where_nothing_is_trained(
    net, make_trainer, tmp_path, options
):
    callback = ModelCheckpoint(tmp_path / "c", save_last=True)
    trainer = make_trainer(callback, **options)
    trainer.fit(net())
    assert names(tmp_path) == set()


def test_nothing_is_saved_outside_fit_or_in_the_sanity_check(
    net, make_trainer, tmp_path
):
    """Epoch 3 would be saved; it is never trained."""
    callback = ModelCheckpoint(
        tmp_path / "c", every_n_epochs=2, save_on_train_epoch_end=False
    )
    model = net()
    trainer = make_trainer(callback, max_epochs=3, num_sanity_val_steps=2)
    trainer.fit(model)
    assert names(tmp_path / "c") == {"epoch=1-step=8.ckpt"}
    trainer.validate(model)
    trainer.fit(model)
    assert names(tmp_path / "c") == {"epoch=1-step=8.ckpt"}


def test_save_on_exception(net, make_trainer, tmp_path):
    class Fails(L.Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            if trainer.global_step == 6:
                raise RuntimeError("power cut")

    callback = ModelCheckpoint(tmp_path / "c", save_on_exception=True)
    with pytest.raises(RuntimeError, match="power cut"):
        make_trainer(callback, Fails(), max_epochs=2).fit(net())
    assert "epoch=1-step=6.ckpt" in names(tmp_path / "c")


# --- the best ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "values", "kept", "best"),
    [
        ("min", [3.0, 1.0, 2.0, 4.0], {1, 2}, 1),
        ("max", [3.0, 1.0, 2.0, 4.0], {0, 3}, 3),
        ("min", [1.0, 1.0, 1.0, 1.0], {0, 1}, 0),  # a tie does not replace
        ("min", [math.nan, 2.0, 1.0, math.nan], {1, 2}, 2),  # NaN is worst
        ("max", [math.nan, 2.0, 1.0, math.nan], {1, 2}, 1),
    ],
)
def test_the_best_k_are_kept(net, make_trainer, tmp_path, mode, values, kept, best):
    callback = ModelCheckpoint(
        tmp_path / "c", filename="{epoch}", monitor="val_loss", mode=mode, save_top_k=2
    )
    trainer = make_trainer(callback, max_epochs=4, check_finite=False)
    trainer.fit(net(values=values))
    assert names(tmp_path / "c") == {f"epoch={epoch}.ckpt" for epoch in kept}
    assert Path(callback.best_model_path).name == f"epoch={best}.ckpt"
    assert callback.best_model_score == values[best]
    assert set(callback.best_k_models) == {
        str(tmp_path / "c" / name) for name in names(tmp_path / "c")
    }
    worst = (kept - {best}).pop()
    assert callback.kth_value == values[worst]
    assert callback.best_k_models[callback.kth_best_model_path] == values[worst]


def test_save_top_k_of_minus_one_keeps_all_and_zero_none(net, make_trainer, tmp_path):
    for k, count in ((-1, 3), (0, 0)):
        folder = tmp_path / str(count)
        make_trainer(ModelCheckpoint(folder, save_top_k=k), max_epochs=3).fit(net())
        assert len(names(folder)) == count


def test_a_metric_that_is_never_logged_is_an_error_after_validation(
    net, make_trainer, tmp_path
):
    callback = ModelCheckpoint(tmp_path / "c", monitor="val_los")
    with pytest.raises(MisconfigurationError, match=r"'val_los'.*val_loss"):
        make_trainer(callback, max_epochs=1).fit(net())


def test_a_metric_that_is_not_there_yet_is_a_warning(net, make_trainer, tmp_path):
    callback = ModelCheckpoint(
        tmp_path / "c", monitor="val_loss", save_on_train_epoch_end=True
    )
    trainer = make_trainer(callback, max_epochs=2, check_val_every_n_epoch=2)
    with pytest.warns(UserWarning, match="val_loss"):
        trainer.fit(net())
    assert names(tmp_path / "c") == {"epoch=1-step=8.ckpt"}


# --- versions and folders ---------------------------------------------------------------


def test_a_taken_name_gets_a_version_from_one(net, make_trainer, tmp_path):
    for _ in range(3):
        callback = ModelCheckpoint(tmp_path, filename="x", save_last=True)
        make_trainer(callback, max_epochs=1).fit(net())
    stems = {"x", "x-v1", "x-v2", "last", "last-v1", "last-v2"}
    assert names(tmp_path) == {f"{stem}.ckpt" for stem in stems}


def test_without_the_version_counter_the_file_is_replaced(net, make_trainer, tmp_path):
    for _ in range(2):
        callback = ModelCheckpoint(tmp_path, filename="x", enable_version_counter=False)
        make_trainer(callback, max_epochs=2).fit(net())
    assert names(tmp_path) == {"x.ckpt"}


def test_a_name_without_numbers_is_rewritten_in_place(net, make_trainer, tmp_path):
    make_trainer(ModelCheckpoint(tmp_path, filename="x"), max_epochs=3).fit(net())
    assert names(tmp_path) == {"x.ckpt"}


def test_the_folder_is_the_loggers_run_folder(net, make_trainer, tmp_path):
    from scaffold_runtime.loggers import CSVLogger

    callback = ModelCheckpoint()
    logger = CSVLogger(tmp_path / "logs", name="exp")
    make_trainer(callback, max_epochs=1, logger=logger).fit(net())
    assert names(tmp_path) == {"logs/exp/version_0/checkpoints/epoch=0-step=4.ckpt"}


def test_the_folder_without_a_logger(net, make_trainer, tmp_path):
    make_trainer(ModelCheckpoint(), max_epochs=1).fit(net())
    assert names(tmp_path) == {"checkpoints/epoch=0-step=4.ckpt"}


def test_a_slash_in_a_metrics_name_makes_a_folder(net, make_trainer, tmp_path):
    callback = ModelCheckpoint(tmp_path, filename="{val/x}-{epoch}")
    make_trainer(callback, max_epochs=1).fit(net())
    assert names(tmp_path) == {"val/x=0-epoch=0.ckpt"}


def test_a_folder_that_is_not_empty_is_said(net, make_trainer, tmp_path):
    (tmp_path / "file").touch()
    with pytest.warns(UserWarning, match="exists and is not empty"):
        make_trainer(ModelCheckpoint(tmp_path), max_epochs=1).fit(net())


def test_files_outside_the_folder_are_never_deleted(net, make_trainer, tmp_path):
    former = tmp_path / "former.ckpt"
    former.touch()
    callback = ModelCheckpoint(tmp_path / "c", filename="{epoch}")
    callback.best_model_path = str(former)
    make_trainer(callback, max_epochs=2).fit(net())
    assert names(tmp_path) == {"former.ckpt", "c/epoch=1.ckpt"}


def test_the_file_resumed_from_is_never_deleted(net, make_trainer, tmp_path):
    first = ModelCheckpoint(tmp_path)
    make_trainer(first, max_epochs=1).fit(net())
    resumed = ModelCheckpoint(tmp_path)
    trainer = make_trainer(resumed, max_epochs=3)
    trainer.fit(net(), ckpt_path=first.best_model_path)
    assert names(tmp_path) == {"epoch=0-step=4.ckpt", "epoch=2-step=12.ckpt"}


# --- last -------------------------------------------------------------------------------


def test_last_follows_each_save(net, make_trainer, tmp_path):
    callback = ModelCheckpoint(
        tmp_path, monitor="val_loss", filename="{epoch}", save_last=True
    )
    make_trainer(callback, max_epochs=3).fit(net(values=[1.0, 0.5, 2.0]))
    assert names(tmp_path) == {"epoch=1.ckpt", "last.ckpt"}
    assert callback.last_model_path == str(tmp_path / "last.ckpt")
    last = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert last["epoch"] == 1


def test_last_is_written_at_the_end_if_nothing_was_saved(net, make_trainer, tmp_path):
    callback = ModelCheckpoint(tmp_path, every_n_epochs=9, save_last=True)
    make_trainer(callback, max_epochs=2).fit(net())
    assert names(tmp_path) == {"last.ckpt"}


def test_last_as_a_link(net, make_trainer, tmp_path):
    callback = ModelCheckpoint(tmp_path, save_last="link")
    make_trainer(callback, max_epochs=2).fit(net())
    link = tmp_path / "last.ckpt"
    assert os.readlink(link) == "epoch=1-step=8.ckpt"
    assert torch.load(link, weights_only=True)["global_step"] == 8


def test_the_name_of_last_is_the_class_attribute(
    net, make_trainer, tmp_path, monkeypatch
):
    monkeypatch.setattr(ModelCheckpoint, "CHECKPOINT_NAME_LAST", "{epoch}-last")
    make_trainer(ModelCheckpoint(tmp_path, save_last=True), max_epochs=2).fit(net())
    assert names(tmp_path) == {"epoch=1-step=8.ckpt", "epoch=1-last.ckpt"}


# --- a full disk ------------------------------------------------------------------------


@pytest.fixture
def fill_disk(monkeypatch):
    """Lets every save at one of these steps fail."""
    write = L.Trainer.save_checkpoint

    def fail_at(*steps):
        def save(self, filepath, weights_only=False):
            if self.global_step in steps:
                raise CheckpointError("The disk is full.")
            write(self, filepath, weights_only)

        monkeypatch.setattr(L.Trainer, "save_checkpoint", save)

    return fail_at


def test_a_save_that_fails_leaves_the_former_one_and_training_goes_on(
    net, make_trainer, tmp_path, fill_disk
):
    fill_disk(8)
    callback = ModelCheckpoint(
        tmp_path / "c", monitor="val_loss", filename="{epoch}", save_last=True
    )
    trainer = make_trainer(callback, max_epochs=2)
    with pytest.warns(UserWarning, match=r"The disk is full. Training goes on"):
        trainer.fit(net(values=[2.0, 1.0]))
    assert trainer.global_step == 8
    assert names(tmp_path / "c") == {"epoch=0.ckpt", "last.ckpt"}
    assert callback.best_model_path == str(tmp_path / "c" / "epoch=0.ckpt")
    assert list(callback.best_k_models) == [callback.best_model_path]


def test_the_next_save_tries_again(net, make_trainer, tmp_path, fill_disk):
    fill_disk(8)
    callback = ModelCheckpoint(tmp_path / "c", filename="{epoch}")
    trainer = make_trainer(callback, max_epochs=3)
    with pytest.warns(UserWarning, match="disk"):
        trainer.fit(net())
    assert names(tmp_path / "c") == {"epoch=2.ckpt"}


def test_a_run_that_cannot_save_at_all_ends_at_once(
    net, make_trainer, tmp_path, fill_disk
):
    fill_disk(4, 8)
    trainer = make_trainer(ModelCheckpoint(tmp_path / "c"), max_epochs=2)
    with pytest.raises(CheckpointError, match="disk"):
        trainer.fit(net())
    assert trainer.global_step == 4


# --- content and state ------------------------------------------------------------------


def test_save_weights_only_leaves_the_rest_out(net, make_trainer, tmp_path):
    make_trainer(ModelCheckpoint(tmp_path, save_weights_only=True), max_epochs=1).fit(
        net()
    )
    content = torch.load(tmp_path / "epoch=0-step=4.ckpt", weights_only=True)
    assert "state_dict" in content
    assert not {"optimizer_states", "lr_schedulers", "callbacks"} & set(content)


def test_its_state_is_restored(net, make_trainer, tmp_path):
    options = {"monitor": "val_loss", "save_top_k": 2, "filename": "{epoch}"}
    first = ModelCheckpoint(tmp_path, **options)
    make_trainer(first, max_epochs=3).fit(net(values=[3.0, 1.0, 2.0]))
    second = ModelCheckpoint(tmp_path, **options)
    resumed = net(values=[0.0, 0.0, 0.0, 0.5])
    resumed.validations = 3
    trainer = make_trainer(second, max_epochs=4)
    trainer.fit(resumed, ckpt_path=str(tmp_path / "epoch=2.ckpt"))
    assert {Path(p).name: s.item() for p, s in second.best_k_models.items()} == {
        "epoch=1.ckpt": 1.0,
        "epoch=3.ckpt": 0.5,
    }
    assert names(tmp_path) == {"epoch=1.ckpt", "epoch=2.ckpt", "epoch=3.ckpt"}


def test_state_is_plain_data_with_lightnings_keys(net, make_trainer, tmp_path):
    callback = ModelCheckpoint(tmp_path, monitor="val_loss")
    make_trainer(callback, max_epochs=1).fit(net())
    content = torch.load(callback.best_model_path, weights_only=True)
    assert set(content["callbacks"][callback.state_key]) > {
        "monitor",
        "best_model_score",
        "best_model_path",
        "current_score",
        "dirpath",
        "best_k_models",
        "kth_best_model_path",
        "kth_value",
        "last_model_path",
    }


def test_in_another_folder_only_the_best_path_is_taken_over(tmp_path):
    first = ModelCheckpoint(tmp_path / "a", monitor="x")
    state = {**first.state_dict(), "best_model_path": "p", "last_model_path": "l"}
    second = ModelCheckpoint(tmp_path / "b", monitor="x")
    with pytest.warns(UserWarning, match="best_model_path"):
        second.load_state_dict(state)
    assert (second.best_model_path, second.last_model_path) == ("p", "")


def test_callbacks_that_differ_have_their_own_state_key():
    keys = {
        ModelCheckpoint(**options).state_key
        for options in (
            {},
            {"monitor": "a"},
            {"monitor": "a", "mode": "max"},
            {"every_n_train_steps": 2},
            {"train_time_interval": timedelta(1)},
        )
    }
    assert len(keys) == 5
    assert ModelCheckpoint(monitor="early").state_key == (
        "ModelCheckpoint{'monitor': 'early', 'mode': 'min', 'every_n_train_steps': 0,"
        " 'every_n_epochs': 1, 'train_time_interval': None}"
    )


def test_to_yaml(net, make_trainer, tmp_path):
    callback = ModelCheckpoint(tmp_path, monitor="val_loss")
    make_trainer(callback, max_epochs=1).fit(net(values=[0.5]))
    callback.to_yaml()
    content = yaml.safe_load((tmp_path / "best_k_models.yaml").read_text())
    assert content == {callback.best_model_path: 0.5}


def test_loggers_hear_of_each_save(net, make_trainer, tmp_path):
    heard = []

    class Listener(L.loggers.DummyLogger):
        def after_save_checkpoint(self, checkpoint_callback):
            heard.append(checkpoint_callback)

    callback = ModelCheckpoint(tmp_path)
    make_trainer(callback, max_epochs=2, logger=Listener()).fit(net())
    assert heard == [callback, callback]


def test_it_runs_after_all_other_callbacks(make_trainer):
    class Late(L.Callback):
        pass

    checkpoint, late = ModelCheckpoint(), Late()
    assert make_trainer(checkpoint, late).callbacks[-1] is checkpoint


# --- refused ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"save_top_k": -2}, "save_top_k=-2"),
        ({"save_top_k": 2}, "needs monitor="),
        ({"mode": "up"}, "'min' or 'max'"),
        ({"every_n_train_steps": -1}, "every_n_train_steps=-1"),
        ({"every_n_epochs": -1}, "every_n_epochs=-1"),
        ({"every_n_epochs": 1, "every_n_train_steps": 1}, "exclude one another"),
        (
            {"every_n_epochs": 1, "train_time_interval": timedelta(1)},
            "exclude one another",
        ),
        ({"dirpath": "s3://bucket/run"}, "only local folders"),
        ({"every_n_epochs": "2"}, "every_n_epochs='2' must be a whole number"),
        (
            {"every_n_train_steps": 2.5},
            "every_n_train_steps=2.5 must be a whole number",
        ),
        ({"save_top_k": None}, "save_top_k=None must be a whole number"),
        ({"train_time_interval": 60}, "train_time_interval=60 must be a timedelta"),
        ({"dirpath": 3}, "dirpath=3 must be a path"),
        ({"filename": 3}, "filename=3 must be text"),
        ({"monitor": ["val_loss"]}, "monitor=['val_loss'] must be text"),
        ({"mode": ["min"]}, "mode=['min']"),
        ({"filename": "{epoch"}, "'{epoch' has a brace without a name"),
        ({"filename": "{}"}, "'{}' has a brace without a name"),
    ],
)
def test_contradictions_are_refused(options, message):
    with pytest.raises(MisconfigurationError, match=re.escape(message)):
        ModelCheckpoint(**options)


def test_a_format_that_does_not_fit_its_value_is_one_sentence():
    callback = ModelCheckpoint(filename="{val_loss:02d}")
    with pytest.raises(
        MisconfigurationError, match=r"^ModelCheckpoint: \{val_loss:02d"
    ):
        callback.format_checkpoint_name({"val_loss": torch.tensor(0.5)})


def test_whole_floats_count_as_in_lightning(net, make_trainer, tmp_path):
    callback = ModelCheckpoint(tmp_path, every_n_train_steps=2e0, save_top_k=-1)
    make_trainer(callback, max_epochs=1).fit(net())
    assert names(tmp_path) == {"epoch=0-step=2.ckpt", "epoch=0-step=4.ckpt"}


# --- as in Lightning --------------------------------------------------------------------


def test_an_empty_dirpath_is_the_working_folder(
    net, make_trainer, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    make_trainer(ModelCheckpoint("", filename="{epoch}"), max_epochs=1).fit(net())
    assert (tmp_path / "epoch=0.ckpt").exists()


def test_a_link_is_not_made_anew_at_the_end(net, make_trainer, tmp_path):
    callback = ModelCheckpoint(tmp_path, filename="{epoch}", save_last="link")
    callback.CHECKPOINT_NAME_LAST = "last-{epoch}"
    make_trainer(callback, max_epochs=2).fit(net())
    assert names(tmp_path) == {"epoch=1.ckpt", "last-epoch=1.ckpt"}


def test_a_subclass_may_override_how_it_saves_and_removes(net, make_trainer, tmp_path):
    called = []

    class Mine(ModelCheckpoint):
        def _should_skip_saving_checkpoint(self, trainer):
            return trainer.global_step < 8 or super()._should_skip_saving_checkpoint(
                trainer
            )

        def _save_topk_checkpoint(self, trainer, candidates):
            called.append("save")
            super()._save_topk_checkpoint(trainer, candidates)

        def _remove_checkpoint(self, trainer, filepath):
            called.append(Path(filepath).name)
            super()._remove_checkpoint(trainer, filepath)

    make_trainer(Mine(tmp_path, filename="{epoch}"), max_epochs=3).fit(net())
    assert called == ["save", "save", "epoch=1.ckpt"]
    assert names(tmp_path) == {"epoch=2.ckpt"}


def test_versions_may_start_at_0(net, make_trainer, tmp_path):
    for _ in range(3):
        callback = ModelCheckpoint(tmp_path, filename="model")
        callback.STARTING_VERSION = 0
        make_trainer(callback, max_epochs=1).fit(net())
    assert names(tmp_path) == {"model-v0.ckpt", "model-v1.ckpt", "model.ckpt"}
