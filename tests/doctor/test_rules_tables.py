"""The tables of rules are well-formed data: ids once, sentences that can be filled, one line."""

from string import Formatter

import pytest

from auxot_tools.doctor.base_url import BaseUrl
from auxot_tools.doctor.key import KeyFacts
from auxot_tools.doctor.observations import Attempt, Observations
from auxot_tools.doctor.report import lines
from auxot_tools.doctor.rules import Place, Rule, diagnose, facts
from auxot_tools.doctor.table import RULES
from auxot_tools.net.exact import FailureKind

BASE = BaseUrl("http://h:8080/api/anthropic")
ALWAYS, NEVER = (lambda _seen: True), (lambda _seen: False)


def test_every_rule_has_an_id_of_its_own() -> None:
    ids = [rule.id for rule in RULES]
    assert sorted(ids) == sorted(set(ids))


def test_the_doctor_knows_at_least_twenty_faults() -> None:
    assert sum(rule.place is not Place.NOTE for rule in RULES) >= 20


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rules_sentences_are_one_line_each_and_can_be_filled(rule: Rule) -> None:
    known = facts(Observations(base=BASE))
    for template in (rule.says, rule.fix):
        assert "\n" not in template
        names = {name for _, name, _, _ in Formatter().parse(template) if name is not None}
        assert names <= known.keys()


def test_of_one_place_the_first_rule_counts_and_notes_come_last() -> None:
    rules = [
        Rule("note", Place.NOTE, ALWAYS, "n", "n"),
        Rule("path", Place.PATH, ALWAYS, "p", "p"),
        Rule("path two", Place.PATH, ALWAYS, "p", "p"),
        Rule("reach no", Place.REACH, NEVER, "r", "r"),
        Rule("reach", Place.REACH, ALWAYS, "{host}", "r"),
    ]
    found = diagnose(Observations(base=BASE), rules)
    assert [one.id for one in found] == ["reach", "path", "note"]
    assert found[0].says == "h"


def test_words_of_a_server_are_never_read_as_a_template() -> None:
    body = b'{"type":"error","error":{"type":"api_error","message":"{key} {0} %s {nothing}"}}'
    asked = Attempt("asked", BASE.asked_url, status=500, body=body)
    found = diagnose(Observations(base=BASE, attempts=(asked,)), RULES)
    assert "{key} {0} %s {nothing}" in found[0].says


def test_a_terminal_is_told_nothing_by_a_server() -> None:
    asked = Attempt(
        "asked",
        BASE.asked_url,
        status=404,
        body=b"\x1b[2Jgone\x07",
        headers={"server": "a\x1b[31m"},
    )
    seen = Observations(base=BASE, attempts=(asked,))
    assert "\x1b" not in "".join(lines(seen, diagnose(seen, RULES)))


def test_a_key_that_a_server_repeats_is_hidden() -> None:
    key = "rtr_" + "s" * 43
    body = b'{"type":"error","error":{"type":"authentication_error","message":"bad key %s"}}'
    asked = Attempt("asked", BASE.asked_url, status=401, body=body % key.encode())
    seen = Observations(base=BASE, key=KeyFacts(key), attempts=(asked,))
    assert key not in "".join(lines(seen, diagnose(seen, RULES)))


def test_a_failure_has_no_fault_of_paths_or_keys() -> None:
    asked = Attempt("asked", BASE.asked_url, failure=FailureKind.REFUSED, failure_text="nobody")
    seen = Observations(base=BASE, key=KeyFacts("rtr_short"), attempts=(asked,))
    assert [one.id for one in diagnose(seen, RULES)] == ["refused"]
