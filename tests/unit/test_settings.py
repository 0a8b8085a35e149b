"""The environment: each variable has a range, and a message that names it."""

from dataclasses import fields

import pytest

from orchestrator.errors import ConfigurationError
from orchestrator.settings import Settings, is_loopback, load

RANGES = [
    # variable, attribute, lowest, highest
    ("DB_POOL_SIZE", "db_pool_size", 1, 20),
    ("PORT", "port", 0, 65_535),
    ("LEASE_SECONDS", "lease_seconds", 0.5, 3600),
    ("RETRY_BASE_SECONDS", "retry_base_seconds", 0.01, 3600),
    ("POLL_MIN_SECONDS", "poll_min_seconds", 0.05, 3600),
    ("RECONCILE_GRACE_SECONDS", "reconcile_grace_seconds", 0.1, 3600),
    ("MISSING_GRACE_SECONDS", "missing_grace_seconds", 0.1, 86_400),
    ("VIDEO_DEADLINE_SECONDS", "video_deadline_seconds", 1, 604_800),
    ("START_TIMEOUT_SECONDS", "start_timeout_seconds", 1, 2_592_000),
    ("MAX_ATTEMPTS", "max_attempts", 1, 100),
    ("DELETED_RETENTION_DAYS", "deleted_retention_days", 0, 3650),
    ("CONTENT_RETENTION_DAYS", "content_retention_days", 0, 36_500),
    ("EVENT_RETENTION_DAYS", "event_retention_days", 0, 36_500),
    ("VIDEO_RETENTION_DAYS", "video_retention_days", 31, 36_500),
    ("AUDIT_RETENTION_DAYS", "audit_retention_days", 1, 36_500),
    ("WEB_THREADS", "web_threads", 1, 512),
    ("WEB_PROCESSES", "web_processes", 1, 64),
    ("REQUEST_TIMEOUT_SECONDS", "request_timeout_seconds", 0.5, 3600),
    ("STREAMS_PER_USER", "streams_per_user", 1, 100_000),
    ("OTEL_TRACES_SAMPLER_ARG", "traces_ratio", 0, 1),
]
CHOICES = [
    ("AUTH", "auth", ("keys", "off")),
    ("LOG_FORMAT", "log_format", ("pretty", "json")),
    ("LOG_LEVEL", "log_level", ("DEBUG", "INFO", "WARNING", "ERROR")),
]


def refusal(**env):
    """The error that this environment leads to."""
    with pytest.raises(ConfigurationError) as caught:
        load(env)
    return caught.value


def test_defaults_are_those_of_the_class_when_nothing_is_set():
    """An empty environment is a whole configuration; only the folder depends on where one is."""
    read = load({})

    for field in fields(Settings):
        if field.name not in {"storage_url", "storage_env"}:
            assert getattr(Settings(), field.name) == getattr(read, field.name), field.name
    assert read.storage_url.startswith("file:///")
    assert read.storage_url.endswith("/.orchestrator/videos")


@pytest.mark.parametrize(("name", "attribute", "low", "high"), RANGES)
def test_number_is_taken_when_in_range(name, attribute, low, high):
    """Both ends of a range belong to it."""
    assert low == getattr(load({name: str(low)}), attribute)
    assert high == getattr(load({name: f" {high} "}), attribute)


@pytest.mark.parametrize(("name", "attribute", "low", "high"), RANGES)
@pytest.mark.parametrize("how", ["below", "above", "word", "nan", "inf"])
def test_number_is_refused_when_out_of_range(name, attribute, low, high, how):
    """The message names the variable, what it was and what it may be."""
    value = {
        "below": str(low - 1),
        "above": str(high + 1),
        "word": "soon",
        "nan": "nan",
        "inf": "inf",
    }[how]

    error = refusal(**{name: value})

    assert name == error.param
    assert f"{name}='{value}' cannot be: it takes a number from {low} to {high}." == str(error)


@pytest.mark.parametrize(("name", "attribute", "allowed"), CHOICES)
def test_choice_is_taken_in_any_case(name, attribute, allowed):
    """OFF is off."""
    for value in allowed:
        assert value == getattr(load({name: value.upper()}), attribute)


@pytest.mark.parametrize(("name", "attribute", "allowed"), CHOICES)
def test_choice_is_refused_when_unknown(name, attribute, allowed):
    """The message lists the choices."""
    error = refusal(**{name: "maybe"})

    assert name == error.param
    assert f"one of {', '.join(allowed)}" in str(error)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("on", True),
        ("1", True),
        ("TRUE", True),
        ("yes", True),
        ("off", False),
        ("0", False),
        ("no", False),
        ("", False),
    ],
)
def test_flag_understands_the_usual_words(value, expected):
    """Operators write yes and no in many ways."""
    assert load({"ANONYMOUS": value}).anonymous is expected


def test_flag_is_refused_when_it_is_no_yes_or_no():
    """A flag that is misspelt does not silently stay off."""
    error = refusal(ANONYMOUS="of")

    assert "ANONYMOUS='of' cannot be: it takes on or off." == str(error)


def test_proxies_are_addresses_and_networks():
    """A single address is a network of one."""
    read = load({"TRUSTED_PROXIES": " 127.0.0.1, 10.0.0.0/8 ,::1"})

    assert ["127.0.0.1/32", "10.0.0.0/8", "::1/128"] == [str(n) for n in read.trusted_proxies]


@pytest.mark.parametrize("value", ["proxy.example", "10.0.0.1/8", "10.0.0.0/33", "*"])
def test_proxies_are_refused_when_they_are_no_addresses(value):
    """Names are not resolved, and nobody is trusted by mistake."""
    error = refusal(TRUSTED_PROXIES=f"::1,{value}")

    assert "TRUSTED_PROXIES" == error.param
    assert str(error).endswith("addresses or networks such as 10.0.0.0/8, joined by commas.")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgres://u:p@db:5432/x", "postgresql://u:p@db:5432/x"),
        ("postgresql://u:p@db/x?sslmode=require", "postgresql://u:p@db/x?sslmode=require"),
        (
            "postgresql://postgres:@/postgres?host=/tmp/x/pg",
            "postgresql://postgres:@/postgres?host=/tmp/x/pg",
        ),
    ],
)
def test_database_url_is_spelt_as_libpq_spells_it(given, expected):
    """The old spelling works; sockets do, too."""
    assert expected == load({"DATABASE_URL": given}).database_url


@pytest.mark.parametrize("url", ["mysql://u:hush@db/x", "db:5432", "postgresql+asyncpg://hush@db"])
def test_database_url_is_refused_without_being_shown(url):
    """A URL carries a password, so the message does not repeat it."""
    error = refusal(DATABASE_URL=url)

    assert "DATABASE_URL" == error.param
    assert "hush" not in str(error)


def test_broker_is_the_cache_unless_said_otherwise():
    """One Redis is enough."""
    one = load({"REDIS_URL": "redis://cache:6379/1"})
    two = load({"REDIS_URL": "redis://cache:6379/1", "BROKER_URL": "rediss://broker/0"})

    assert "redis://cache:6379/1" == one.broker_url
    assert ("redis://cache:6379/1", "rediss://broker/0") == (two.redis_url, two.broker_url)


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("REDIS_URL", "amqp://u:hush@queue"),
        ("REDIS_URL", "redis+socket:///run/redis.sock"),
        ("BROKER_URL", "amqp://u:hush@queue"),
        ("BROKER_URL", "unix:///run/redis.sock"),
    ],
)
def test_redis_url_is_refused_when_its_client_cannot_read_it(name, url):
    """redis-py and Celery spell sockets differently; a wrong spelling is told at start."""
    error = refusal(**{name: url})

    assert name == error.param
    assert "hush" not in str(error)


def test_socket_of_the_cache_needs_a_broker_of_its_own():
    """Celery cannot read the URL that redis-py has for a socket."""
    error = refusal(REDIS_URL="unix:///run/redis.sock")
    both = load(
        {"REDIS_URL": "unix:///run/redis.sock", "BROKER_URL": "redis+socket:///run/redis.sock"}
    )

    assert "BROKER_URL" == error.param
    assert "redis+socket:///run/redis.sock" == both.broker_url


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.8.9.1"])
def test_auth_may_be_off_on_loopback(host):
    """Nobody else reaches this machine's own addresses."""
    assert is_loopback(host)
    assert "off" == load({"AUTH": "off", "HOST": host}).auth


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.5", "example.com", "127.0.0.1.nip.io"]
)
def test_auth_off_is_refused_beyond_loopback(host):
    """Everybody would be whoever they say."""
    error = refusal(AUTH="off", HOST=host)

    assert "AUTH" == error.param
    assert f"HOST={host}" in str(error)
    assert "AUTH=keys" in str(error)


def test_keys_may_be_served_anywhere():
    """With keys, the world may come."""
    assert "0.0.0.0" == load({"HOST": "0.0.0.0"}).host


def test_secrets_do_not_show_when_settings_are_printed():
    """A log line with the settings gives nothing away."""
    shown = repr(
        load(
            {
                "DATABASE_URL": "postgresql://u:hush@db/x",
                "REDIS_URL": "redis://:hush@cache",
                "SECRET_KEY": "hush",
                "OPENAI_API_KEY": "hush",
                "OPENAI_WEBHOOK_SECRET": "whsec_hush",
                "AWS_SECRET_ACCESS_KEY": "hush",
            }
        )
    )

    assert "hush" not in shown


def test_storage_gets_the_variables_of_its_library_and_no_others():
    """An S3 client is configured by AWS_ variables; the rest is not its business."""
    read = load({"AWS_REGION": "eu-1", "STORAGE_URL": "s3://bucket", "SECRET_KEY": "x"})

    assert {"AWS_REGION": "eu-1"} == read.storage_env
    assert "s3://bucket" == read.storage_url


def test_provider_is_the_one_of_the_variables():
    """One provider needs no file."""
    read = load(
        {
            "OPENAI_BASE_URL": "http://127.0.0.1:9/v1/",
            "OPENAI_API_KEY": "k",
            "PROVIDER_PROFILE": "sglang",
            "MODELS": " wan-2 , ,wan-3",
            "PROVIDER_MAX_IN_FLIGHT": "3",
            "PROVIDER_RPM": "60",
        }
    )

    provider = read.catalog.route("wan-3")
    assert {"wan-2", "wan-3"} == read.catalog.models.keys()
    assert ("sglang", "http://127.0.0.1:9/v1") == (provider.profile.name, provider.base_url)
    assert (3, 60) == (provider.max_in_flight, provider.rpm)


def test_provider_has_no_caps_when_they_are_zero():
    """Zero says none, as for everything that is counted."""
    provider = load({"PROVIDER_MAX_IN_FLIGHT": "0", "PROVIDER_RPM": "0"}).catalog.route("sora-2")

    assert (None, None) == (provider.max_in_flight, provider.rpm)


@pytest.mark.parametrize("name", ["PROVIDER_MAX_IN_FLIGHT", "PROVIDER_RPM"])
@pytest.mark.parametrize("value", ["-1", "1000001", "1.5", "many"])
def test_cap_is_refused_when_it_is_no_count(name, value):
    """Caps are whole numbers."""
    error = refusal(**{name: value})

    assert f"{name}='{value}' cannot be: it takes a number from 0 to 1000000." == str(error)


def test_providers_file_is_read_when_named(tmp_path):
    """A file that cannot be read is the operator's error, named."""
    missing = tmp_path / "providers.toml"

    error = refusal(PROVIDERS_FILE=str(missing))

    assert "PROVIDERS_FILE" == error.param
    assert "No such file" in str(error)


@pytest.mark.parametrize(
    ("env", "allowed"),
    [
        ({}, False),
        ({"WEBHOOK_ALLOW_LOCAL": "on"}, True),
        ({"AUTH": "off"}, True),
        ({"AUTH": "off", "WEBHOOK_ALLOW_LOCAL": "off"}, True),
    ],
)
def test_webhooks_go_to_this_machine_only_where_that_opens_nothing(env, allowed):
    """Who may use it without a key sits at this machine anyway."""
    assert allowed == load(env).local_webhooks
