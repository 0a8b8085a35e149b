"""The language of faults, and when they strike."""

from __future__ import annotations

import pytest

from orchestrator.sandbox.faults import KINDS, Fault, Faults, parse_faults


def drawn(faults: Faults, operation: str, times: int) -> list[str]:
    return [fault.kind if fault else "" for fault in (faults.draw(operation) for _ in range(times))]


def test_text_is_parsed_when_it_uses_all_forms() -> None:
    """Probability, count and value are read, and spaces do not matter."""
    text = "create.accept_then_cut=0.2, create.429_retry_after:7@3 ,list.lag:5"

    rules = parse_faults(text)

    assert [
        (Fault("create", "accept_then_cut", ""), 0.2, None),
        (Fault("create", "429_retry_after", "7"), 1.0, 3),
        (Fault("list", "lag", "5"), 1.0, None),
    ] == [(rule.fault, rule.chance, rule.left) for rule in rules]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nonsense", "cannot read 'nonsense'"),
        ("create.500=2", "within 0..1"),
        ("create.500=0.1.1", "within 0..1"),
        ("watch.500", "no operation 'watch'.*create, get, list"),
        ("get.accept_then_cut", "'get' knows no 'accept_then_cut'.*unknown_status"),
        ("create.hang:soon", "must be a number"),
        ("create.500@x", "cannot read"),
    ],
)
def test_text_is_refused_with_a_reason_when_it_makes_no_sense(text: str, message: str) -> None:
    """The message quotes the part and says what is allowed."""
    with pytest.raises(ValueError, match=message):
        parse_faults(text)


@pytest.mark.parametrize("name", [f"{op}.{kind}" for op, kinds in KINDS.items() for kind in kinds])
def test_every_kind_can_be_written_without_a_value(name: str) -> None:
    """Each kind that takes a value has one to fall back on."""
    (rule,) = parse_faults(name)

    assert name == rule.name


def test_counted_rule_strikes_that_often_when_drawn() -> None:
    """`@2` means the next two requests of that operation, and no others."""
    faults = Faults("create.500@2")

    assert [*drawn(faults, "get", 1), *drawn(faults, "create", 3)] == ["", "500", "500", ""]
    assert faults.fired() == {"create.500": 2}


def test_first_rule_wins_when_several_would_strike() -> None:
    """At most one rule strikes a request, in the order written."""
    faults = Faults("get.404@1,get.500")

    assert drawn(faults, "get", 2) == ["404", "500"]


def test_same_seed_draws_the_same_faults_when_run_again() -> None:
    """A seed makes chance repeatable."""
    text = "create.500=0.3,create.cut=0.3"

    first, second = (drawn(Faults(text, seed=7), "create", 200) for _ in range(2))

    assert first == second
    assert {"", "500", "cut"} == set(first)


def test_other_operations_do_not_shift_chance_when_interleaved() -> None:
    """What strikes creates does not depend on how many polls came in between."""
    text = "create.500=0.3,get.404=0.3"
    alone, mixed = Faults(text, seed=7), Faults(text, seed=7)

    expected = drawn(alone, "create", 50)
    actual = [
        kind for _ in range(50) for kind in (drawn(mixed, "get", 3) and drawn(mixed, "create", 1))
    ]

    assert expected == actual


def test_rules_stay_in_force_when_a_change_is_refused() -> None:
    """A bad text changes nothing."""
    faults = Faults("get.404")

    with pytest.raises(ValueError, match="cannot read"):
        faults.change("!")

    assert faults.text == "get.404"
    assert drawn(faults, "get", 1) == ["404"]


def test_all_rules_are_drawn_when_they_concern_a_job() -> None:
    """A job may be both slow and stuck."""
    faults = Faults("job.stuck,job.duration_spread:0.5")

    assert [fault.kind for fault in faults.draw_all("job")] == ["stuck", "duration_spread"]
