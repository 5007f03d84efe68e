"""The strings of a JSON object that cannot be read as a whole: from its text to its ids.

One job: that. Pure. A model writes the arguments of a job, and can write what nobody carries:
1e999, an integer of 5,000 digits, 10,000 levels of arrays. Its round would wait for ever if the job
were not answered, and to answer it the ids are enough.
"""

import json
import re

# Strings, and runs of what opens or closes. Possessive, so that it takes no memory for going back.
# A string without an end is one up to the end, so that none is looked for twice.
_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[{]++|[\]}]++', re.DOTALL)
_COLON = re.compile(r"\s*:")
# About a second of a core. Auxot's router writes the ids first, so they are found all the same.
MAX_TOKENS = 1_000_000


def outer_texts(data: bytes | str) -> dict[str, str]:
    """The members of the outermost object that are strings, names in lower case, as far as the text
    shows them. Of names that differ only in case the last one counts.
    """
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    found: dict[str, str] = {}
    depth, name = 0, ""
    for count, token in enumerate(_TOKEN.finditer(text)):
        if count >= MAX_TOKENS:
            break
        word = token.group()
        if word[0] != '"':
            depth += len(word) if word[0] in "[{" else -len(word)
        elif depth == 1 and _COLON.match(text, token.end()):
            name = _string(word).lower()
        elif depth == 1 and name:
            found[name] = _string(word)
    return found


def _string(word: str) -> str:
    try:
        return str(json.loads(word, strict=False))
    except ValueError:
        return ""
