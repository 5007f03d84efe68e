"""All rules in order: address, reach, path, key, request, server, stream, notes."""

from auxot_tools.doctor.rules import Rule
from auxot_tools.doctor.table_answer import ANSWER_RULES
from auxot_tools.doctor.table_key import KEY_RULES
from auxot_tools.doctor.table_path import PATH_RULES
from auxot_tools.doctor.table_reach import REACH_RULES

RULES: tuple[Rule, ...] = (*REACH_RULES, *PATH_RULES, *KEY_RULES, *ANSWER_RULES)
