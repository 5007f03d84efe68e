"""What is said of a base URL that cannot be asked at all: just what is wrong with this one."""

import pytest

from auxot_tools.doctor.base_url import BaseUrl
from auxot_tools.doctor.observations import Observations
from auxot_tools.doctor.rules import diagnose
from auxot_tools.doctor.table import RULES

WRONG = {
    "": "There is no URL.",
    "$ANTHROPIC_BASE_URL": "The URL holds a variable that nobody filled in.",
    "http://h:99999": "port",
    "ftp://h/": "`http` and `https`",
    f"http://h/{'a' * 3000}": "longer than any server takes",
    "http://user:p#w@h/": "in a password write # ? / as",
}


@pytest.mark.parametrize("url", WRONG)
def test_a_url_that_cannot_be_asked_is_told_with_what_is_wrong_with_it(url: str) -> None:
    (finding, *_) = diagnose(Observations(base=BaseUrl(url)), RULES)
    assert finding.id == "url_invalid"
    assert finding.says.startswith("The base URL cannot be used. ")
    assert WRONG[url] in finding.says
    assert "p#w" not in finding.says
