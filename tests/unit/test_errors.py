"""The tree of errors: drawn as it is, with stable codes and messages that one can read."""

import re

import pytest

from orchestrator import errors
from orchestrator.errors import (
    ContentMissing,
    InvalidRequest,
    OrchestratorError,
    ProviderBusy,
    QuotaExceeded,
    RateLimited,
    StorageError,
)


def _family(root=OrchestratorError):
    yield root
    for child in root.__subclasses__():
        if child.__module__ == errors.__name__:
            yield from _family(child)


FAMILY = list(_family())


def test_tree_is_drawn_as_it_is():
    """The docstring shows each class below its parent."""
    stack, drawn = [], {}
    for line in (errors.__doc__ or "").splitlines():
        name = re.match(r"^([│├└─\s]*)([A-Z]\w+)", line)
        if name and "──" in name[1]:
            depth = len(name[1]) // 4
            stack[depth:] = [name[2]]
            drawn[name[2]] = stack[depth - 1]
        elif name and name[2] == "OrchestratorError":
            stack = [name[2]]

    assert {c.__name__: c.__mro__[1].__name__ for c in FAMILY[1:]} == drawn


@pytest.mark.parametrize("error", FAMILY[1:], ids=lambda error: error.__name__)
def test_default_message_is_one_sentence(error):
    """Raised without words, an error still says something whole."""
    arguments = {QuotaExceeded: {"message": "", "quota": {}}, RateLimited: {"retry_after": 1.0}}

    message = error(**arguments.get(error, {})).message

    assert re.fullmatch(r"[A-Z].*[^\s]\.|.*`\.", message, re.DOTALL)
    assert "\n" not in message


def test_codes_are_unique_words():
    """A client can tell every class by its code."""
    codes = [error.code for error in FAMILY]

    assert sorted(set(codes)) == sorted(codes)
    assert all(re.fullmatch(r"[a-z_]+", code) for code in codes)


def test_code_is_its_own_when_one_is_given():
    """A more exact code belongs to one error, not to its class."""
    special = InvalidRequest("model must be known.", param="model", code="unknown_model")

    assert ("unknown_model", "model") == (special.code, special.param)
    assert "invalid_value" == InvalidRequest().code


def test_error_reads_as_its_message():
    """Logs and tracebacks show the sentence."""
    assert "seconds must be 4." == str(InvalidRequest("seconds must be 4.", param="seconds"))


def test_extra_of_a_spent_quota_is_the_quota():
    """The 429 answer carries use and remainder."""
    assert {"used": 3} == QuotaExceeded("Spent.", quota={"used": 3}).extra
    assert {} == InvalidRequest().extra


def test_provider_errors_keep_the_raw_reply_apart():
    """What an operator may read is no part of what users are told."""
    error = ProviderBusy("Busy.", http_status=429, retry_after=3.0, detail="raw reply of up_123")

    assert "up_123" not in str(error)
    assert (429, 3.0, "raw reply of up_123") == (error.http_status, error.retry_after, error.detail)


def test_missing_content_is_a_fault_of_the_storage():
    """Whoever handles storage faults handles this one."""
    assert issubclass(ContentMissing, StorageError)
