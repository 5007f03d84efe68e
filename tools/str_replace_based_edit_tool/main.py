"""Shows, makes and edits text files of the session: view, create, str_replace, insert.

One job: one command of the input on one path, and the words for the model. A command that cannot be
done is a normal answer that begins with "Error:", and then nothing was changed. What it may touch
is what the program's user may touch. Standard library only.

A file stays as it was but for the edit: line ends (LF or CRLF), a missing last newline, a byte
order mark, its mode. Only UTF-8 text is shown and edited.
"""

# Pathlib would be loaded for each call.
import codecs
import difflib
import json
import os
import stat
import sys

WORK = "/work"
VIEW_CHARS = 40_000  # of one answer, in the head and tail of a file: some 10,000 tokens
LINE_CHARS = 2_000  # shown of one line
LISTED = 300  # entries of a folder
LEVELS = 2
SNIPPET_LINES = 4  # shown before and after an edit
SNIPPET_CHARS = 8_000
NAMED_LINES = 10
FILE_BYTES = 16 * 2**20  # a file is held in memory a few times over
BOM = codecs.BOM_UTF8.decode()
UNDO = (
    "there is no undo_edit. Use str_replace to put the old text back, or create to write the whole "
    "file again"
)


class Problem(Exception):
    """Why a command is not done, as part of a sentence."""


def main():
    given = json.load(sys.stdin.buffer)
    try:
        command = COMMANDS.get(given["command"])
        if command is None:
            raise Problem(UNDO if given["command"] == "undo_edit" else "there is no such command")
        text = command(full_path(given["path"]), given)
    except Problem as problem:
        text = f"Error: {problem}."
    except OSError as error:
        text = f"Error: {os_problem(error, given['path'])}."
    except UnicodeEncodeError:
        text = "Error: the text holds half of a surrogate pair, which is not a character."
    sys.stdout.buffer.write(text.encode(errors="replace"))


# -- commands


def view(path, given):
    if os.path.isdir(path):
        if given.get("view_range") is not None:
            raise Problem(f"{path} is a folder, and view_range is for files")
        return folder_text(path)
    lines = Text.read(path).lines
    total = len(lines)
    if not total:
        return f"{path} is an empty file."
    first, last = view_range(given.get("view_range"), total, path)
    shown = numbered(lines, first, last, VIEW_CHARS)
    heading = f"{path}, {total} {plural(total, 'line')}"
    if (first, last) != (1, total):
        heading += f", of which {first} to {last}"
    return f"{heading}:\n{shown}"


def create(path, given):
    text = needed(given, "file_text", "create")
    if os.path.isdir(path):
        raise Problem(f"{path} is a folder. Give the path of a file")
    was_there = os.path.lexists(path)
    if was_there:
        check_plain(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    write(path, text.encode())
    count = len(lines_of(text))
    done = "Overwritten" if was_there else "Created"
    return f"{done}: {path}, {count} {plural(count, 'line')}."


def str_replace(path, given):
    old = needed(given, "old_str", "str_replace")
    new = given.get("new_str", "")
    if not old:
        raise Problem("old_str is empty. Give the text to be replaced, or use insert")
    if old == new:
        raise Problem("old_str and new_str are the same")
    file = Text.read(path)
    text = file.text
    if old not in text and "\r\n" in text:  # a model writes LF
        old, new = with_crlf(old), with_crlf(new)
    places = occurrences(text, old)
    if not places:
        raise Problem(not_found(path, file.lines, old))
    if len(places) > 1:
        at = ", ".join(str(line_at(text, place)) for place in places[:NAMED_LINES])
        more = ", …" if len(places) > NAMED_LINES else ""
        raise Problem(
            f"old_str occurs {len(places)} times in {path}, in lines {at}{more}. Nothing was "
            "changed. Give more of the text around it, so that it occurs once"
        )
    file.text = text[: places[0]] + new + text[places[0] + len(old) :]
    file.write(path)
    first = line_at(text, places[0])
    return edited(path, file, first, first + new.count("\n"))


def insert(path, given):
    at = needed(given, "insert_line", "insert")
    text = given["insert_text"] if "insert_text" in given else given.get("new_str")
    if text is None:
        raise Problem("insert needs insert_text")
    file = Text.read(path)
    total = len(file.lines)
    if not 0 <= at <= total:
        raise Problem(
            f"insert_line is {at}, and {path} has {total} {plural(total, 'line')}: give 0 to "
            f"insert before the first, or {total} to insert after the last"
        )
    end = "\r\n" if "\r\n" in file.text else "\n"
    text = with_crlf(text) if end == "\r\n" else text
    lines = kept_lines(file.text)
    before, after = "".join(lines[:at]), "".join(lines[at:])
    if before and not before.endswith("\n"):  # the last line has no end, and neither gets the new
        file.text = before + end + text.removesuffix(end)
    else:
        file.text = before + text + ("" if text.endswith("\n") else end) + after
    file.write(path)
    return edited(path, file, at + 1, at + max(1, len(lines_of(text))))


COMMANDS = {"view": view, "create": create, "str_replace": str_replace, "insert": insert}


# -- files


class Text:
    """A text file: `text` without the byte order mark that `mark` keeps."""

    def __init__(self, text):
        self.mark = BOM if text.startswith(BOM) else ""
        self.text = text.removeprefix(BOM)

    @classmethod
    def read(cls, path):
        check_plain(path)
        with open(path, "rb") as file:
            data = file.read(FILE_BYTES + 1)
        if len(data) > FILE_BYTES:
            raise Problem(
                f"{path} has more than {FILE_BYTES >> 20} MiB, which is too much for this tool. "
                "Use head, tail, grep or sed"
            )
        if b"\0" in data:
            raise Problem(f"{path} is a binary file, not text")
        try:
            return cls(data.decode())
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise Problem(
                f"{path} is not UTF-8 text: line {line} has the byte 0x{data[error.start]:02x}. "
                "Convert it first, for example with iconv"
            ) from None

    @property
    def lines(self):
        """Without their ends."""
        return lines_of(self.text)

    def write(self, path):
        write(path, (self.mark + self.text).encode())


def check_plain(path):
    found = os.stat(path)
    if stat.S_ISDIR(found.st_mode):
        raise Problem(f"{path} is a folder. Give the path of a file, or use view to list it")
    if not stat.S_ISREG(found.st_mode):  # reading a pipe or a device could wait for ever
        raise Problem(f"{path} is not a plain file")


def write(path, data):
    """All of it or nothing: a full disk leaves the file as it was. Links stay links."""
    path = os.path.realpath(path)
    new = f"{os.path.dirname(path)}/.{os.path.basename(path)[:200]}.new"
    try:
        mode = stat.S_IMODE(os.stat(path).st_mode)
        if not os.access(path, os.W_OK):
            raise Problem(f"{path} may not be written")
    except FileNotFoundError:
        mode = None
    try:
        with open(new, "wb") as file:
            file.write(data)
        if mode is not None:
            os.chmod(new, mode)
        os.replace(new, path)
    except OSError:
        if os.path.lexists(new):
            os.unlink(new)
        raise


def full_path(path):
    if not path.strip() or "\0" in path:
        raise Problem("the path is empty or holds a NUL character")
    return os.path.normpath(os.path.join(WORK, path))


def os_problem(error, path):
    """The system's refusal in our words."""
    shown = full_path(path)
    words = {
        FileNotFoundError: f"{shown} does not exist{similar(shown)}",
        NotADirectoryError: f"a part of {shown} is a file, not a folder",
        PermissionError: f"{shown} may not be touched. Only /work and /tmp can be written",
    }
    if type(error) in words:
        return words[type(error)]
    numbers = {
        28: "the disk is full, and nothing was changed. Remove files that are no longer needed",
        30: f"{shown} cannot be written: only /work and /tmp can",
        36: "the path is too long",
        40: f"{shown} is a link that leads in a circle",
    }
    return numbers.get(error.errno, f"{shown} cannot be used")


def similar(path):
    """Names in the same folder that may be meant."""
    folder, name = os.path.split(path)
    try:
        close = difflib.get_close_matches(name, os.listdir(folder), 3)
    except OSError:
        return f": there is no folder {folder}"
    return f". The folder has {', '.join(close)}" if close else ""


def folder_text(path):
    """What lies in a folder, `LEVELS` deep, without hidden entries; folders end with a slash."""
    found, more = [], 0

    def list_folder(folder, level):
        nonlocal more
        try:
            names = sorted(name for name in os.listdir(folder) if not name.startswith("."))
        except OSError:
            found.append(f"{folder}/ (may not be read)")
            return
        for name in names:
            entry = f"{folder.rstrip('/')}/{name}"
            is_folder = os.path.isdir(entry) and not os.path.islink(entry)
            if len(found) < LISTED:
                found.append(f"{entry}/" if is_folder else entry)
            else:
                more += 1
            if is_folder and level < LEVELS:
                list_folder(entry, level + 1)

    os.listdir(path)  # whether it may be read at all
    list_folder(path, 1)
    if not found:
        return f"{path} is an empty folder (hidden entries are not listed)."
    rest = [f"[{more} more left out: view a folder below it]"] if more else []
    heading = f"{path}, {LEVELS} levels deep without hidden entries:"
    return "\n".join([heading, *found, *rest])


# -- text


def lines_of(text):
    """Lines without LF or CRLF; a last newline does not begin another line."""
    lines = text.split("\n")
    if lines[-1] == "":
        lines.pop()
    return [line.removesuffix("\r") for line in lines]


def kept_lines(text):
    """Lines with their ends."""
    lines = [f"{line}\n" for line in text.split("\n")]
    lines[-1] = lines[-1].removesuffix("\n")
    return lines if lines[-1] else lines[:-1]


def numbered(lines, first, last, chars):
    """Lines `first` to `last` with their numbers; the middle is left out beyond `chars`."""
    shown = [f"{n:6}\t{short(lines[n - 1])}" for n in range(first, last + 1)]
    if sum(map(len, shown)) + len(shown) <= chars:
        return "\n".join(shown)
    head = fitting(shown, chars // 2)
    tail = fitting(reversed(shown[head:]), chars // 2)
    cut_first, cut_last = first + head, last - tail
    note = f"[lines {cut_first} to {cut_last} left out: view them with view_range]"
    return "\n".join([*shown[:head], note, *shown[len(shown) - tail :]])


def fitting(lines, chars):
    """How many of the lines, from the first on, fit."""
    count = 0
    for line in lines:
        chars -= len(line) + 1
        if chars < 0:
            break
        count += 1
    return count


def short(line):
    left = len(line) - LINE_CHARS
    return line if left <= 0 else f"{line[:LINE_CHARS]}[{left} more characters of this line]"


def view_range(given, total, path):
    if given is None:
        return 1, total
    first, last = given
    last = total if last == -1 else last
    if not 1 <= first <= total:
        raise Problem(f"view_range begins at {first}, and {path} has lines 1 to {total}")
    if last < first:
        raise Problem(f"view_range ends at {last}, before it begins; -1 means the last line")
    return first, min(last, total)


def edited(path, file, first, last):
    """What is said of an edit: the lines around it as they are now."""
    lines = file.lines
    start = max(1, first - SNIPPET_LINES)
    end = min(len(lines), last + SNIPPET_LINES)
    if start > end:
        return f"Edited: {path} is empty now."
    return f"Edited: {path}. Lines {start} to {end} are now:\n" + numbered(
        lines, start, end, SNIPPET_CHARS
    )


def needed(given, name, command):
    if given.get(name) is None:
        raise Problem(f"{command} needs {name}")
    return given[name]


def occurrences(text, part):
    places, at = [], text.find(part)
    while at >= 0:
        places.append(at)
        at = text.find(part, at + len(part))
    return places


def line_at(text, place):
    return text.count("\n", 0, place) + 1


def not_found(path, lines, old):
    """Why nothing was replaced, with the place that may be meant."""
    said = f"old_str does not occur in {path}, and nothing was changed"
    wanted = [line.strip() for line in lines_of(old)]
    stripped = [line.strip() for line in lines]
    for at in range(len(stripped) - len(wanted) + 1):
        if any(wanted) and stripped[at : at + len(wanted)] == wanted:
            last = at + len(wanted)
            place = f"line {last}" if len(wanted) == 1 else f"lines {at + 1} to {last}"
            return f"{said}. Only its spaces, tabs or line ends differ from {place}"
    return f"{said}. View the file and copy the text exactly"


def with_crlf(text):
    return text.replace("\r\n", "\n").replace("\n", "\r\n")


def plural(count, word):
    return word if count == 1 else f"{word}s"


if __name__ == "__main__":
    main()
