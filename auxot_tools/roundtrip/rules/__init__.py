"""The rules: every check of `auxot-tools roundtrip`, in the order in which they are shown.

One job: the list. Each rule is a pure function of a recording, and looks at one thing.
"""

from collections.abc import Mapping, Sequence

from auxot_tools.roundtrip.rule import Rule
from auxot_tools.roundtrip.rules import (
    auth,
    errors,
    faults,
    histories,
    life,
    pairing,
    parallel,
    shapes,
    streams,
)

_MODULES = (auth, shapes, streams, pairing, histories, parallel, faults, life, errors)
ALL: Sequence[Rule] = tuple(rule for module in _MODULES for rule in module.RULES)
BY_ID: Mapping[str, Rule] = {rule.id: rule for rule in ALL}
GROUPS: Sequence[str] = tuple(dict.fromkeys(rule.group for rule in ALL))
