import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scaffold import naming
from scaffold.errors import UsageError


@pytest.mark.parametrize("name", ["digits", "my_digits", "A1", "x", "model2", "a" * 64])
def test_ordinary_names_are_accepted(name: str) -> None:
    assert naming.package_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "my digits",
        "my.digits",
        "my/digits",
        "../digits",
        "1digits",
        "_digits",
        "digits_",
        "'digits'",
        '"digits"',
        "{{ digits }}",
        "{% raw %}",
        "digits\n",
        "digits\nimport os",
        "digits\x00",
        "ziffern_ü",
        "digits😀",
        "class",
        "None",
        "a" * 65,
        "a" * 300,
    ],
)
def test_what_is_no_identifier_is_refused_in_one_line(name: str) -> None:
    with pytest.raises(UsageError) as error:
        naming.package_name(name)
    assert str(error.value).isprintable()
    assert str(error.value).isascii()
    assert len(str(error.value)) < 200


@pytest.mark.parametrize(
    "name", ["os", "json", "test", "typing", "torch", "TORCH", "numpy", "PIL", "con"]
)
def test_names_that_hide_another_module_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="--name"):
        naming.package_name(name)


def test_a_name_that_the_project_uses_already_is_refused() -> None:
    with pytest.raises(UsageError, match="another file"):
        naming.package_name("Train", taken={"train", "tests"})


@given(st.text(max_size=80))
def test_whatever_is_accepted_imports_and_is_safe_in_every_file(name: str) -> None:
    try:
        accepted = naming.package_name(name)
    except UsageError:
        return
    assert accepted.isidentifier()
    assert accepted.isascii()
    assert accepted not in sys.stdlib_module_names
    compile(f"import {accepted}", "name", "exec")


@pytest.mark.parametrize(
    ("package", "distribution"),
    [("my_digits", "my-digits"), ("Digits", "digits"), ("a__b", "a-b")],
)
def test_distribution_names(package: str, distribution: str) -> None:
    assert naming.distribution_name(package) == distribution


@pytest.mark.parametrize("name", ["grad_norm", "grad-norm", "gradNorm"])
def test_class_names(name: str) -> None:
    assert naming.class_name(name) == "GradNorm"
