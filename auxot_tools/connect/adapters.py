"""From a job to the call of one of our tools, and back from its result to the answer.

One job: choosing. Auxot's four built-in tools keep their arguments and results; every other tool is
passed through: its arguments as they came, for its schema to judge, and its text as the result,
which is JSON where the text is (Auxot takes a shell tool's output so). Pure.
"""

from auxot_tools.connect import code_executor, web
from auxot_tools.connect.calls import Prepared, Ran, Usage
from auxot_tools.connect.folded import Fields, WrongKind
from auxot_tools.connect.frames import JobAnswer, ToolJob
from auxot_tools.messages import exact_json

# Deeper text stays text: the frame around it adds levels, and `exact_json.MAX_DEPTH` holds for all.
_MAX_RESULT_DEPTH = 200


def prepare(job: ToolJob, mark: str) -> Prepared | JobAnswer:
    """The call that ``job`` asks for, or what is answered instead of one.

    ``mark`` is a word that nobody can guess, one for each job.
    """
    name = job.tool_name
    if name != code_executor.NAME and name not in web.BUILT_INS:
        return Prepared(name, job.arguments, _passed_through)
    try:
        fields = Fields.of(exact_json.decode(job.arguments), "arguments")
        if name == code_executor.NAME:
            return code_executor.prepare(fields, mark)
        return web.BUILT_INS[name](fields)
    except WrongKind as fault:
        return JobAnswer(error=f"parsing {name} args: {fault}")
    except Usage as fault:
        return JobAnswer(error=str(fault))


def _passed_through(ran: Ran) -> JobAnswer:
    if ran.result.is_error:
        return JobAnswer(error=ran.text)
    return JobAnswer(_json_or_text(ran.text), images=ran.images)


def _json_or_text(text: str) -> object:
    try:
        value = exact_json.decode(text)
    except exact_json.InvalidJSON:
        return text
    return text if exact_json.is_deeper(value, _MAX_RESULT_DEPTH) else value
