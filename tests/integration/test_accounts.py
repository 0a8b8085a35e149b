"""API keys: a hash is kept, a revoked one is worthless within a second."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256

import pytest

from orchestrator import accounts
from orchestrator.accounts import Authenticator
from orchestrator.errors import InvalidRequest, NotFound, Unauthenticated
from orchestrator.records import Caller
from tests.clock import Clock
from tests.core import opened, race, sql, types_of


@pytest.fixture
def ctx(database_url, tmp_path):
    """A context on an empty database."""
    with opened(database_url, tmp_path) as ctx:
        yield ctx


def test_new_key_is_shown_once_and_kept_as_a_hash(ctx):
    """A stolen database opens nothing."""
    made = accounts.create_key(ctx, "ann", name="laptop")

    stored = sql(ctx, "select row_to_json(k)::text from api_keys k")[0][0]
    assert made.secret not in stored
    assert sha256(made.secret.encode()).hexdigest() in stored
    assert made.secret.startswith(made.key.prefix)
    assert len(made.secret) > len(made.key.prefix) + 30
    assert ("ann", "user", "laptop") == (made.key.user_id, made.key.role, made.key.name)


def test_new_keys_differ(ctx):
    """Nobody gets another one's key."""
    made = [accounts.create_key(ctx, "ann") for _ in range(20)]

    assert 20 == len({one.secret for one in made}) == len({one.key.id for one in made})


@pytest.mark.parametrize(
    ("user_id", "role", "param"),
    [
        ("ann", "root", "role"),
        ("ann", "", "role"),
        ("", "user", "user_id"),
        ("a\0", "user", "user_id"),
    ],
)
def test_key_is_refused_when_user_or_role_cannot_be(ctx, user_id, role, param):
    """The message names the field, and the roles that there are."""
    with pytest.raises(InvalidRequest) as caught:
        accounts.create_key(ctx, user_id, role=role)

    assert param == caught.value.param
    if param == "role":
        assert "role must be one of user, admin." == str(caught.value)


@pytest.mark.parametrize("user_id", ["ann", "a@b.c", "Jörg", "user 1", "x" * 255, "凧"])
def test_user_id_is_the_callers_text(user_id):
    """Whatever the application calls its users."""
    assert user_id == accounts.check_user_id(user_id)


@pytest.mark.parametrize("user_id", ["", " ", "a ", "\tb", "a\nb", "a\0b", "\ud800", "x" * 256])
def test_user_id_is_refused_when_it_cannot_be_told_or_stored(user_id):
    """Blank edges and unprintable characters would make two users look like one."""
    with pytest.raises(InvalidRequest):
        accounts.check_user_id(user_id)


@pytest.mark.parametrize("role", ["user", "admin"])
def test_token_becomes_its_caller(ctx, role):
    """User, role and key."""
    made = accounts.create_key(ctx, "ann", role=role)

    assert Caller("ann", role, made.key.id) == Authenticator(ctx).caller(made.secret)


@pytest.mark.parametrize("token", ["", "vo_nonsense", "\ud800", "x" * 10_000])
def test_token_is_refused_when_it_is_no_key(ctx, token):
    """Whatever comes in the header."""
    with pytest.raises(Unauthenticated):
        Authenticator(ctx).caller(token)


def test_hash_of_a_key_is_no_key(ctx):
    """What the database holds opens nothing."""
    made = accounts.create_key(ctx, "ann")
    (hashed,) = sql(ctx, "select key_hash from api_keys")[0]

    for wrong in (hashed, made.key.prefix, made.key.id, made.secret + "x"):
        with pytest.raises(Unauthenticated):
            Authenticator(ctx).caller(wrong)


def test_token_is_refused_when_it_has_expired(ctx):
    """From that moment on, by the clock of the database."""
    now = datetime.now(UTC)
    late = accounts.create_key(ctx, "ann", expires_at=now + timedelta(minutes=1))
    over = accounts.create_key(ctx, "ann", expires_at=now - timedelta(seconds=1))

    assert "ann" == Authenticator(ctx).caller(late.secret).user_id
    with pytest.raises(Unauthenticated):
        Authenticator(ctx).caller(over.secret)


def test_revoked_token_dies_within_a_second(ctx):
    """A process that has just seen it may believe it for one second, and no longer."""
    clock = Clock()
    here = Authenticator(ctx, monotonic=clock)
    made = accounts.create_key(ctx, "ann")
    here.caller(made.secret)

    accounts.revoke_key(ctx, made.key.id)

    clock.now += 0.7
    assert "ann" == here.caller(made.secret).user_id
    clock.now += 0.3
    with pytest.raises(Unauthenticated):
        here.caller(made.secret)
    with pytest.raises(Unauthenticated):
        Authenticator(ctx).caller(made.secret)


def test_remembered_token_costs_no_query(ctx):
    """Within the second the database is not asked."""
    here = Authenticator(ctx, monotonic=Clock())
    made = accounts.create_key(ctx, "ann")
    here.caller(made.secret)
    sql(ctx, "delete from api_keys")

    assert "ann" == here.caller(made.secret).user_id


def in_use(ctx, number):
    """A clock, who goes by it, and keys of as many users that were used just now."""
    clock = Clock()
    here = Authenticator(ctx, monotonic=clock)
    made = [accounts.create_key(ctx, f"user{n}") for n in range(number)]
    for one in made:
        here.caller(one.secret)
    return clock, here, made


def test_keys_in_use_are_looked_at_together(ctx):
    """Once a second one query, however many come; each finds what became of its own key."""
    clock, here, made = in_use(ctx, 4)
    accounts.revoke_key(ctx, made[1].key.id)
    sql(ctx, "delete from api_keys where id = :id", id=made[2].key.id)

    clock.now += 1.1
    first = here.caller(made[0].secret)
    sql(ctx, "delete from api_keys")

    assert ("user0", "user3") == (first.user_id, here.caller(made[3].secret).user_id)
    for gone in made[1:3]:
        with pytest.raises(Unauthenticated):
            here.caller(gone.secret)


def test_key_that_is_not_used_is_forgotten(ctx):
    """Whoever comes is looked at again, and so is who came some seconds ago, but not for ever."""
    clock = Clock()
    here = Authenticator(ctx, monotonic=clock)
    busy, idle = accounts.create_key(ctx, "ann"), accounts.create_key(ctx, "bob")
    here.caller(idle.secret)
    known = []

    for seconds in (0.0, 5.0, 6.0):
        clock.now += seconds
        here.caller(busy.secret)
        known.append([one.caller.user_id for one in here._known.values()])

    assert [["bob", "ann"], ["bob", "ann"], ["ann"]] == known


def test_many_callers_are_told_at_once_that_a_key_is_revoked(ctx):
    """Whoever waits for somebody else's look trusts that look."""
    clock = Clock()
    here = Authenticator(ctx, monotonic=clock)
    made = accounts.create_key(ctx, "ann")
    here.caller(made.secret)
    accounts.revoke_key(ctx, made.key.id)
    clock.now += 1.1

    outcomes = race(*[lambda: here.caller(made.secret) for _ in range(8)])

    assert {"Unauthenticated": 8} == types_of(outcomes)


def test_known_tells_only_what_needs_no_query(ctx):
    """Whoever came within the second; nobody else, real or not."""
    clock = Clock()
    here = Authenticator(ctx, monotonic=clock)
    ann, bob = accounts.create_key(ctx, "ann"), accounts.create_key(ctx, "bob")
    here.caller(ann.secret)

    told = [here.known(secret) for secret in (ann.secret, bob.secret, "vo_none")]

    clock.now += 1.1
    assert ["ann", None, None] == [one and one.user_id for one in told]
    assert here.known(ann.secret) is None


def test_known_sends_one_to_look_shortly_before_all_would_have_to(ctx):
    """After that look, everybody is known for a second again."""
    clock, here, made = in_use(ctx, 3)

    clock.now += 0.8
    told = [here.known(one.secret) for one in made]
    here.caller(made[0].secret)
    clock.now += 0.7

    assert [None, "user1", "user2"] == [one and one.user_id for one in told]
    assert ["user0", "user1", "user2"] == [here.known(one.secret).user_id for one in made]


def test_unknown_token_is_not_remembered(ctx):
    """A key that is made a moment later counts at once."""
    here = Authenticator(ctx, monotonic=Clock())
    made = accounts.create_key(ctx, "ann")
    sql(ctx, "update api_keys set revoked_at = now()")
    with pytest.raises(Unauthenticated):
        here.caller(made.secret)
    sql(ctx, "update api_keys set revoked_at = null")

    assert "ann" == here.caller(made.secret).user_id


@pytest.mark.parametrize("by", ["id", "prefix"])
def test_key_is_revoked_by_what_one_has_of_it(ctx, by):
    """Its id from the list, or the prefix that is shown."""
    made = accounts.create_key(ctx, "ann")
    other = accounts.create_key(ctx, "ann")

    revoked = accounts.revoke_key(ctx, getattr(made.key, by))

    assert made.key.id == revoked.id
    assert revoked.revoked_at is not None
    assert "ann" == Authenticator(ctx).caller(other.secret).user_id


def test_second_revocation_changes_nothing(ctx):
    """The moment of the first one stays."""
    made = accounts.create_key(ctx, "ann")

    first = accounts.revoke_key(ctx, made.key.id)

    assert first == accounts.revoke_key(ctx, made.key.id)


def test_revocation_of_nothing_is_not_found(ctx):
    """A mistyped id is told."""
    with pytest.raises(NotFound):
        accounts.revoke_key(ctx, "key_unknown")


def test_keys_are_listed_newest_first(ctx):
    """Those of one user, or of all, revoked ones included."""
    one, other = accounts.create_key(ctx, "ann"), accounts.create_key(ctx, "ann")
    third = accounts.create_key(ctx, "bob")
    accounts.revoke_key(ctx, one.key.id)

    assert [other.key.id, one.key.id] == [key.id for key in accounts.list_keys(ctx, "ann")]
    assert [third.key.id, other.key.id, one.key.id] == [k.id for k in accounts.list_keys(ctx)]


def test_use_is_noted_to_the_minute(ctx):
    """A busy key costs one write a minute, from however many requests."""
    made = accounts.create_key(ctx, "ann")

    race(*[lambda: Authenticator(ctx).caller(made.secret) for _ in range(8)])

    (key,) = accounts.list_keys(ctx, "ann")
    assert (0, 0) == (key.last_used_at.second, key.last_used_at.microsecond)
    assert timedelta(minutes=2) > datetime.now(UTC) - key.last_used_at
