"""Mutated files of every kind: no traceback, no row lost in silence. `tests.soak` does more."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.data.fuzzing import PLACES, check_file, mutated_files

QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=60, deadline=None, suppress_health_check=QUIET)
@given(mutated_files(), st.sampled_from(PLACES))
@pytest.mark.slow
def test_a_mutated_file_loses_no_row_in_silence(file: tuple[str, bytes], place: str) -> None:
    check_file(*file, place=place)
