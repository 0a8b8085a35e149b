"""Signals that ask us to end."""

from __future__ import annotations

import signal

import pytest

from orchestrator.local.signals import ended_by_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_ended_by_signals_when_one_comes(number: signal.Signals) -> None:
    """It arrives as the exception that `with` blocks unwind for."""
    with pytest.raises(KeyboardInterrupt), ended_by_signals():
        signal.raise_signal(number)


def test_ended_by_signals_when_the_block_is_over() -> None:
    """The former handlers are back."""
    former = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]

    with ended_by_signals():
        pass

    assert former == [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
