from pathlib import Path
from typing import ClassVar

import pytest
import yaml

from scaffold_runtime.cli import SaveConfigCallback
from scaffold_runtime.errors import UserError


def saved(cli, name="config.yaml"):
    return yaml.safe_load(Path(cli.trainer.log_dir, name).read_text())


def test_the_whole_config_is_saved_and_accepted_back(command):
    words = ["--model.learning_rate=1e-3", "--trainer.callbacks+=Timer"]
    first = command("fit", *words)
    path = Path(first.trainer.log_dir, "config.yaml")
    again = command("fit", f"--config={path}")
    assert again.trainer.log_dir != first.trainer.log_dir
    assert saved(again) == saved(first)
    assert saved(first)["model"]["learning_rate"] == 1e-3
    assert saved(first)["trainer"]["limit_val_batches"] is None
    assert saved(first)["seed_everything"] == 0


def test_numbers_are_numbers_to_any_reader(command):
    cli = command("fit", "--optimizer=AdamW")
    assert saved(cli)["optimizer"]["init_args"]["eps"] == 1e-8


def test_secrets_are_masked(command):
    note = "tests.runtime.cli.project.Note"
    cli = command(
        "fit",
        "--model.api_key=s3cret",
        f"--trainer.callbacks+={note}",
        "--trainer.callbacks.hf_token=s3cret",
        "--trainer.callbacks.text=open",
    )
    assert saved(cli)["model"]["api_key"] == "********"
    (entry,) = saved(cli)["trainer"]["callbacks"]
    assert entry["init_args"] == {"text": "open", "hf_token": "********"}
    folder = Path(cli.trainer.log_dir)
    for name in ("config.yaml", "run.json", "hparams.yaml"):
        assert "s3cret" not in (folder / name).read_text()
    assert cli.model.hparams.api_key == "s3cret"


def test_an_earlier_config_is_not_lost(command):
    words = ["--trainer.logger=false"]
    command("fit", *words, "--model.width=2")
    with pytest.raises(UserError, match=r"config.yaml is there already"):
        command("fit", *words, "--model.width=3")
    assert yaml.safe_load(Path("config.yaml").read_text())["model"]["width"] == 2
    overwrite = {"overwrite": True}
    command("fit", *words, "--model.width=3", save_config_kwargs=overwrite)
    assert yaml.safe_load(Path("config.yaml").read_text())["model"]["width"] == 3


def test_only_rank_0_writes(parse, folder):
    cli = parse()
    cli.trainer.is_global_zero = False
    save = SaveConfigCallback(cli.parser, cli.config)
    save.setup(cli.trainer, cli.model, "fit")
    assert list(folder.rglob("config.yaml")) == []


def test_several_files_are_refused(command):
    command("fit", save_config_kwargs={"multifile": False})
    with pytest.raises(UserError, match=r"multifile=True.*one file"):
        command("fit", save_config_kwargs={"multifile": True})


def test_another_name(command):
    cli = command("fit", save_config_kwargs={"config_filename": "own.yaml"})
    assert saved(cli, "own.yaml")["model"]["width"] == 4
    assert not Path(cli.trainer.log_dir, "config.yaml").exists()


def test_none_saves_nothing(command):
    cli = command("fit", save_config_callback=None)
    assert not Path(cli.trainer.log_dir, "config.yaml").exists()


class Elsewhere(SaveConfigCallback):
    calls: ClassVar[list[tuple[str, int]]] = []

    def save_config(self, trainer, pl_module, stage):
        self.calls.append((stage, self.config["model"]["width"]))


def test_a_config_can_be_saved_elsewhere(command):
    Elsewhere.calls.clear()
    cli = command(
        "fit",
        save_config_callback=Elsewhere,
        save_config_kwargs={"save_to_log_dir": False},
    )
    assert Elsewhere.calls == [("fit", 4)]
    assert not Path(cli.trainer.log_dir, "config.yaml").exists()
