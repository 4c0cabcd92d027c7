"""Signals, in the steps and outside of them."""

from __future__ import annotations

import os
import signal

import pytest

from sslang.train.stopping import Interrupted, Stopping


def test_in_the_steps_a_signal_is_noted() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with Stopping(60.0) as stopping, stopping.steps():
        assert stopping.signal is None
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopping.signal == signal.SIGTERM
        assert stopping.exit_code == 75
    assert signal.getsignal(signal.SIGTERM) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_outside_of_the_steps_it_ends_the_run_at_once(number: int) -> None:
    with Stopping(60.0) as stopping:
        with stopping.steps():
            pass
        with pytest.raises(Interrupted):
            os.kill(os.getpid(), number)
        assert stopping.exit_code == 75
        os.kill(os.getpid(), number)  # while the run is being closed: once is enough


def test_with_other_processes_it_waits_for_the_steps() -> None:
    """One that left alone would leave the others waiting for it."""
    with Stopping(60.0, alone=False) as stopping:
        os.kill(os.getpid(), signal.SIGTERM)
        assert stopping.signal == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_ctrl_c_is_noted_once() -> None:
    with Stopping(60.0) as stopping:
        with stopping.steps():
            os.kill(os.getpid(), signal.SIGINT)
            assert stopping.exit_code == 130
            with pytest.raises(KeyboardInterrupt):
                os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_the_clock_of_saving() -> None:
    stopping = Stopping(3600.0)
    assert not stopping.save_due()
    always = Stopping(0.0)
    assert always.save_due()
    always.saved()
    assert always.save_due()
