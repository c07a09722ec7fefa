import pytest

from scaffold.wiring import ShapeError
from scaffold.wiring.markdown_command import AddCommand

EDIT = AddCommand("README.md", "Scale", "sbatch launch/job.sh  # a job")
README = """\
# Title

```sh
## Scale
```

## Scale

One GPU.

```sh
bash launch/ddp.sh 2
```

```sh
another
```

## Use
"""


def test_the_command_comes_last_in_the_section_s_first_block() -> None:
    after = README.replace("ddp.sh 2\n", "ddp.sh 2\nsbatch launch/job.sh  # a job\n")
    assert not EDIT.is_applied(README)
    assert EDIT.apply(README) == after
    assert EDIT.is_applied(after)
    assert EDIT.revert(after) == README


def test_a_section_that_is_not_there_is_made_and_goes_again() -> None:
    text = "# Title\n\nText.\n"
    after = EDIT.apply(text)
    assert after == (
        "# Title\n\nText.\n\n## Scale\n\n```sh\nsbatch launch/job.sh  # a job\n```\n"
    )
    assert EDIT.is_applied(after)
    assert EDIT.revert(after) == text


def test_a_section_that_others_use_too_stays() -> None:
    other = AddCommand("README.md", "Scale", "kubectl apply")
    both = other.apply(EDIT.apply("# Title\n"))
    assert EDIT.revert(both) == other.apply("# Title\n")


@pytest.mark.parametrize(
    "text", ["## Scale\n\nNo code.\n", "## Scale\n\n## Use\n\n```\nx\n```\n"]
)
def test_a_section_without_code_is_not_guessed(text: str) -> None:
    with pytest.raises(ShapeError):
        EDIT.apply(text)
    with pytest.raises(ShapeError):
        EDIT.revert(text)


def test_the_snippet() -> None:
    assert EDIT.snippet() == (
        "sbatch launch/job.sh  # a job",
        "a code block under '## Scale' of README.md",
    )
