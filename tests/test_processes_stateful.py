"""Objects in several processes, of which some die, do what a model of plain Python does."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test
from shared_machine import SharedObjects


@pytest.mark.timeout(300)
def test_random_commands_to_processes_do_what_the_model_does():
    run_state_machine_as_test(
        SharedObjects,
        settings=settings(
            max_examples=25,
            stateful_step_count=60,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    assert len(SharedObjects.reached) == 7, SharedObjects.reached  # each way to end
