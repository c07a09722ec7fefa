import pytest

from scaffold_runtime.secret import MASK, is_secret, mask, mask_words


@pytest.mark.parametrize(
    ("key", "secret"),
    [
        ("api_key", True),
        ("apikey", True),
        ("--trainer.logger.init_args.api-key", True),
        ("hf_token", True),
        ("PASSWORD", True),
        ("client_secret", True),
        ("aws_credentials", True),
        ("tokens_per_second", False),
        ("tokenizer", False),
        ("key", False),
        ("password_file.name", False),
    ],
)
def test_the_key_says_whether_a_value_is_secret(key, secret):
    assert is_secret(key) is secret


def test_secrets_are_masked_at_any_depth_in_a_copy():
    config = {"a": [{"token": "x", "n": 1}], "password": "y", "api_key": None}
    assert mask(config) == {
        "a": [{"token": MASK, "n": 1}],
        "password": MASK,
        "api_key": None,
    }
    assert config["password"] == "y"


def test_secrets_of_a_command_line_are_masked():
    words = ["fit", "--hf_token", "x", "--api_key=y=z", "--n", "3", "token"]
    assert mask_words(words) == [
        "fit",
        "--hf_token",
        MASK,
        f"--api_key={MASK}",
        "--n",
        "3",
        "token",
    ]
