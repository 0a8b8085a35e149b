"""Sending one webhook: to whom the address names, once resolved, within one clock."""

import datetime
import socket
import ssl
import threading
from contextlib import contextmanager

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from orchestrator.sender import Sender
from tests.answering_server import Answer, answering_server

NAME = "hooks.example"
BODY = b'{"a":1}'


def post(url, sender=None, *, allow_local=True):
    """Send a message there."""
    return (sender or Sender()).post(url, BODY, {"webhook-id": "evt_1"}, allow_local=allow_local)


def resolving(*addresses, asked=None):
    """A resolver that knows every host under these addresses."""

    def resolve(host, port, **_):
        if asked is not None:
            asked.append(host)
        families = [socket.AF_INET6 if ":" in address else socket.AF_INET for address in addresses]
        return [
            (family, socket.SOCK_STREAM, 6, "", (address, port))
            for family, address in zip(families, addresses, strict=True)
        ]

    return resolve


@pytest.fixture
def receiver():
    """A server that takes everything at `/hook`."""
    with answering_server() as server:
        server.answer("POST /hook?a=b", Answer(b"fine"))
        server.answer("POST /hook", Answer(b"fine"))
        yield server


@contextmanager
def raw_server(behave):
    """A server that does with each connection what `behave` does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve():
            with listener.accept()[0] as connection:
                connection.settimeout(10)
                behave(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            thread.join()


def until_closed(connection, part, pause):
    """Send `part` again and again until the other side has gone."""
    stop = threading.Event()
    try:
        while not stop.wait(pause):
            connection.sendall(part)
    except OSError:
        return


def test_message_arrives_as_it_was_sent(receiver):
    """Body, headers, query; and the name of the host."""
    answer = post(f"{receiver.url}/hook?a=b")

    (asked,) = receiver.asked
    assert (200, "fine", None, True) == (
        answer.status,
        answer.excerpt,
        answer.error,
        answer.delivered,
    )
    assert BODY == asked.body
    assert ("evt_1", receiver.url.removeprefix("http://")) == (
        asked.headers["webhook-id"],
        asked.headers["Host"],
    )


@pytest.mark.parametrize("status", [201, 204, 299])
def test_answer_counts_as_delivered_when_it_is_2xx(receiver, status):
    """Whatever it says."""
    receiver.answer("POST /hook", Answer(b"", status))

    assert post(f"{receiver.url}/hook").delivered


@pytest.mark.parametrize("status", [301, 302, 307, 308, 400, 404, 410, 429, 500])
def test_answer_counts_as_failed_when_it_is_anything_else(receiver, status):
    """A redirect is not followed: it would lead where nobody has looked."""
    receiver.answer("POST /hook", Answer(b"", status, headers={"Location": "/elsewhere"}))

    answer = post(f"{receiver.url}/hook")

    assert (status, False, status == 410) == (answer.status, answer.delivered, answer.gone)
    assert ["POST /hook"] == receiver.lines()


def test_excerpt_is_short_and_can_be_kept_when_the_answer_is_long(receiver):
    """500 bytes, as text that PostgreSQL takes."""
    receiver.answer("POST /hook", Answer(b"a\0\xff" + b"b" * 100_000))

    answer = post(f"{receiver.url}/hook")

    assert answer.delivered
    assert "a\ufffd" + "b" * 497 == answer.excerpt


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("7", 7), ("0", 0), ("999999999", 86_400), ("9" * 400, 86_400), ("soon", None), ("-5", None)],
)
def test_pause_is_read_when_the_receiver_asks_for_one(receiver, value, seconds):
    """In seconds, at most a day; what is no number of seconds is passed over."""
    receiver.answer("POST /hook", Answer(b"", 503, headers={"Retry-After": value}))

    assert seconds == post(f"{receiver.url}/hook").retry_after


def test_pause_is_read_when_it_is_a_date(receiver):
    """One of the past asks for nothing."""
    for date, expected in (
        ("Fri, 31 Dec 2100 23:59:59 GMT", 86_400),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0),
    ):
        receiver.answer("POST /hook", Answer(b"", 503, headers={"Retry-After": date}))

        assert expected == post(f"{receiver.url}/hook").retry_after


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_loopback_is_refused_unless_allowed(receiver, scheme):
    """Nothing is even connected to."""
    answer = post(f"{scheme}://{receiver.url.removeprefix('http://')}/hook", allow_local=False)

    assert "the host has an address that webhooks may not go to" == answer.error
    assert 0 == receiver.connections


@pytest.mark.parametrize("address", ["10.0.0.1", "169.254.169.254", "fd00::1", "::ffff:10.0.0.1"])
@pytest.mark.parametrize("allow_local", [False, True])
def test_name_is_refused_when_one_of_its_addresses_is_inside(address, allow_local):
    """Though another one is public: such a name is made to get in."""
    sender = Sender(resolve=resolving("8.8.8.8", address))

    answer = post(f"https://{NAME}/", sender, allow_local=allow_local)

    assert (None, False) == (answer.status, answer.delivered)
    assert "may not go to" in str(answer.error)


def test_name_is_resolved_once(receiver):
    """What is judged is what is connected to: a second answer of the name server has no use."""
    asked = []
    port = receiver.url.rpartition(":")[2]
    sender = Sender(resolve=resolving("127.0.0.1", asked=asked))

    answer = post(f"http://localhost:{port}/hook", sender)

    assert (200, ["localhost"]) == (answer.status, asked)
    assert f"localhost:{port}" == receiver.asked[0].headers["Host"]


def test_next_address_is_tried_when_one_does_not_answer(receiver):
    """As long as there is time."""
    port = receiver.url.rpartition(":")[2]
    sender = Sender(resolve=resolving("127.0.0.9", "127.0.0.1"))

    assert post(f"http://localhost:{port}/hook", sender).delivered


def test_proxies_of_the_environment_are_not_asked(receiver, monkeypatch):
    """One would connect wherever the name says by then."""
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    assert post(f"{receiver.url}/hook").delivered


@pytest.mark.parametrize(
    "part", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 100 Continue\r\n\r\n", b"H"]
)
def test_receiver_is_left_when_it_takes_too_long(part):
    """Silent or dripping: one clock runs for the whole exchange."""

    def behave(connection):
        connection.recv(65_536)
        connection.sendall(part)
        until_closed(connection, part[-1:] or b"H", 0.05)

    with raw_server(behave) as url:
        answer = post(url, Sender(timeout=0.4))

    assert (None, False) == (answer.status, answer.delivered)
    assert answer.error in {"no answer within 0.4 seconds", "the answer is not HTTP"}


def test_answer_counts_when_only_its_body_drips():
    """The status has decided."""

    def behave(connection):
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\nfine")
        connection.recv(1)

    with raw_server(behave) as url:
        answer = post(url, Sender(timeout=0.4))

    assert (200, "fine") == (answer.status, answer.excerpt)


@pytest.mark.parametrize(
    "reply",
    [b"nonsense\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300],
)
def test_answer_is_no_answer_when_it_is_not_http(reply):
    """Whatever comes, it is a failed delivery and no more."""

    def behave(connection):
        connection.recv(65_536)
        connection.sendall(reply)

    with raw_server(behave) as url:
        answer = post(url)

    assert (None, "the answer is not HTTP") == (answer.status, answer.error)


def test_answer_is_cut_when_its_headers_never_end():
    """64 KiB are read, then it is over."""

    def behave(connection):
        connection.recv(65_536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n")
        until_closed(connection, b"X-Long: " + b"y" * 8000 + b"\r\n", 0)

    with raw_server(behave) as url:
        answer = post(url, Sender(timeout=5))

    assert (200, "") == (answer.status, answer.excerpt)


def test_nobody_listens_is_said():
    """The reason is short and holds no address of ours."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    assert "not connected: Connection refused" == post(f"http://127.0.0.1:{port}/").error


def test_unknown_host_is_said():
    """As a failed delivery like any other."""
    assert "the host is not known" == post("https://nobody.invalid/").error


def certificate(folder, name):
    """A self-signed certificate for a host name; the path of certificate and key in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / "certificate.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


@contextmanager
def tls_server(path):
    """A server on loopback with this certificate; yields its port and the names it was called."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    names = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)

    def behave(connection):
        try:
            with context.wrap_socket(connection, server_side=True) as secured:
                secured.recv(65_536)
                secured.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
        except OSError:
            return

    with raw_server(behave) as url:
        yield int(url.rstrip("/").rpartition(":")[2]), names


def test_name_is_proven_when_the_address_was_resolved(tmp_path):
    """The connection goes to the address, the certificate and SNI are those of the name."""
    path = certificate(tmp_path, NAME)
    trusting = ssl.create_default_context(cafile=str(path))
    sender = Sender(resolve=resolving("127.0.0.1"), tls=trusting)

    with tls_server(path) as (port, names):
        answer = post(f"https://{NAME}:{port}/hook", sender)

    assert (204, [NAME]) == (answer.status, names)


@pytest.mark.parametrize("trusted", [False, True])
def test_receiver_is_refused_when_it_cannot_prove_its_name(tmp_path, trusted):
    """A certificate of nobody whom we trust, or of somebody else."""
    path = certificate(tmp_path, "another.example")
    context = ssl.create_default_context(cafile=str(path) if trusted else None)
    sender = Sender(resolve=resolving("127.0.0.1"), tls=context)

    with tls_server(path) as (port, _):
        answer = post(f"https://{NAME}:{port}/hook", sender)

    assert answer.status is None
    assert str(answer.error).startswith("TLS: ")
