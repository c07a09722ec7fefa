"""The faults of `make mutants` still have their place in the runtime's source."""

import pytest

from tests.mutants import MUTANTS, places


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.fault)
def test_every_fault_has_one_place(mutant):
    assert places(mutant) == 1
    assert mutant.new != mutant.old
