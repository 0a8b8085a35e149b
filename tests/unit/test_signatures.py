"""Signatures of webhooks: what two libraries make of ours, and we of theirs."""

import base64
import time
from datetime import UTC, datetime

import pytest
from openai import OpenAI
from standardwebhooks import Webhook

from orchestrator import signatures
from orchestrator.signatures import BadSignature

BODY = b'{"id":"evt_1","type":"video.completed","data":{"id":"video_1"}}'
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OTHER = signatures.new_secret()
NOW = 1_795_000_000.0


def signed(*secrets: str, now: float = NOW, body: bytes = BODY) -> dict[str, str]:
    """The headers of a message with the id evt_1."""
    return signatures.headers_for("evt_1", body, secrets, now=now)


def test_secrets_are_new_each_time_and_long() -> None:
    """Nobody guesses 32 random bytes."""
    made = {signatures.new_secret() for _ in range(100)}

    assert 100 == len(made)
    assert {32} == {len(signatures.key_of(secret)) for secret in made}


def test_standardwebhooks_accepts_what_we_sign() -> None:
    """With either of two secrets, and with no other."""
    headers = signed(OTHER, SECRET, now=time.time())

    Webhook(SECRET).verify(BODY, headers)
    Webhook(OTHER).verify(BODY, headers)
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(signatures.new_secret()).verify(BODY, headers)


@pytest.mark.parametrize("secret", [SECRET, "plain text as a secret"])
def test_openai_sdk_accepts_what_we_sign(secret: str) -> None:
    """Also with a secret that is no base64."""
    client = OpenAI(api_key="none", base_url="http://127.0.0.1:1")

    client.webhooks.verify_signature(BODY.decode(), signed(secret, now=time.time()), secret=secret)

    client.close()


def test_message_is_accepted_when_standardwebhooks_has_signed_it() -> None:
    """Its id comes back."""
    moment = datetime.fromtimestamp(NOW, UTC)
    signature = Webhook(SECRET).sign("msg_2", moment, BODY.decode())
    headers = {
        "webhook-id": "msg_2",
        "webhook-timestamp": str(int(NOW)),
        "webhook-signature": signature,
    }

    assert "msg_2" == signatures.verify(headers, BODY, SECRET, now=NOW)


@pytest.mark.parametrize("age", [-300, -1, 0, 300])
def test_message_is_accepted_when_it_is_of_now(age: int) -> None:
    """Clocks may differ by five minutes either way."""
    assert "evt_1" == signatures.verify(signed(SECRET, now=NOW - age), BODY, SECRET, now=NOW)


@pytest.mark.parametrize("age", [-301, 301, 10**9])
def test_message_is_refused_when_it_is_not_of_now(age: int) -> None:
    """Whoever has recorded one cannot play it later."""
    with pytest.raises(BadSignature):
        signatures.verify(signed(SECRET, now=NOW - age), BODY, SECRET, now=NOW)


def test_message_is_accepted_when_one_of_its_signatures_matches() -> None:
    """As while the sender changes its secret; other versions are passed over."""
    headers = signed(OTHER, SECRET)
    headers["webhook-signature"] = f"v2,AAAA v1a,BBBB {headers['webhook-signature']}"

    assert "evt_1" == signatures.verify(headers, BODY, SECRET, now=NOW)


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "evt_2"},
        {"webhook-id": ""},
        {"webhook-id": "x" * 256},
        {"webhook-id": "evt\n1"},
        {"webhook-timestamp": str(int(NOW) + 1)},
        {"webhook-timestamp": ""},
        {"webhook-timestamp": "now"},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "²"},
        {"webhook-timestamp": "9" * 400},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,\u00e9\udcff"},
        {"webhook-signature": "AAAA"},
    ],
)
def test_message_is_refused_when_a_header_is_wrong(changed: dict[str, str]) -> None:
    """Nothing of what was signed can be exchanged, and nothing odd does more than be refused."""
    headers = signed(SECRET) | changed

    with pytest.raises(BadSignature):
        signatures.verify(headers, BODY, SECRET, now=NOW)


@pytest.mark.parametrize("missing", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_message_is_refused_when_a_header_is_missing(missing: str) -> None:
    """All three are needed."""
    headers = signed(SECRET)
    del headers[missing]

    with pytest.raises(BadSignature):
        signatures.verify(headers, BODY, SECRET, now=NOW)


def test_message_is_refused_when_body_or_secret_are_others() -> None:
    """One byte is enough."""
    with pytest.raises(BadSignature):
        signatures.verify(signed(SECRET), BODY + b" ", SECRET, now=NOW)
    with pytest.raises(BadSignature):
        signatures.verify(signed(SECRET), BODY, OTHER, now=NOW)


def test_secret_is_refused_when_it_is_no_base64() -> None:
    """It says by its beginning that it is."""
    with pytest.raises(ValueError, match="base64"):
        signatures.key_of("whsec_nonsense!")
