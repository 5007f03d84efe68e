"""Runs a command in a bash that is kept for the session, as a person at a terminal would.

One job: a call's program in the box. The shell is looked after by `kept.py` of the image: it ends
what a stopped call was doing, and starts the shell anew when it has ended. Standard library only.

The shell is an interactive one without a terminal, which reads what we write to its standard input:
one line that runs the command, one that tells the exit status. An interactive shell survives errors
that would end a script, and an interrupt brings it back to the next line instead of ending it. It
finds the command's text and streams as descriptors of the guard, under /proc.
"""

import json
import os
import signal
import sys

sys.path.append("/usr/libexec/auxot/lib")
import kept

sys.path.pop()

SHELL = ("/bin/bash", "--noprofile", "--norc", "--noediting", "-i")
# No prompts, no history and its `!`, no mail: all that an interactive shell does for a person. What
# it says of a command that was stopped has no reader, which must not end it; its children have the
# signal's default.
QUIET = b"set +o history +H; unset HISTFILE MAILCHECK PS1 PS2; trap : PIPE\n"
# An interrupt for the last command may still be on its way: what it makes the shell drop is the
# beginning of what is read next, which is nothing but `:` then.
RUN = (
    ":\n:\n"
    'builtin eval "$(<{fds}/{text})" <{fds}/{stdin} >{fds}/{stdout} 2>{fds}/{stderr}\n'
    "builtin printf '%d\\n' \"$?\" >{fds}/{status}\n"
)
RESTARTED = "The tool has been restarted: a new shell in /work, and no background jobs."


class Shell(kept.Kept):
    """The shell, its standard input, and the pipe on which it tells how commands ended."""

    name = "bash"
    lost = (
        "The shell was started anew: {why}. Variables, functions and the current folder of earlier "
        "commands are gone; files are still there."
    )

    def start(self):
        theirs, self.stdin = os.pipe()
        self.status, self.told = os.pipe()  # the shell opens the second by its name in /proc
        pid = os.fork()
        if pid == 0:
            become_shell(theirs)
        os.close(theirs)
        os.write(self.stdin, QUIET)
        return pid

    def give(self, _order, descriptors):
        stdin, stdout, stderr, text = descriptors
        fds = f"/proc/{os.getpid()}/fd"
        lines = RUN.format(
            fds=fds, text=text, stdin=stdin, stdout=stdout, stderr=stderr, status=self.told
        )
        os.write(self.stdin, lines.encode())

    def fileno(self):
        return self.status

    def answer(self):
        word = os.read(self.status, kept.ANSWER_BYTES).split()
        return int(word[-1]) if word and word[-1].isdigit() else None

    def drop(self):
        for fd in (self.stdin, self.status, self.told):
            os.close(fd)


def become_shell(stdin):
    """Never returns."""
    try:
        os.setsid()
        os.dup2(stdin, 0)
        os.closerange(3, kept.MOST_OPEN)
        os.chdir("/work")
        for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.execv(SHELL[0], SHELL)
    finally:
        os._exit(127)


def main():
    given = json.load(sys.stdin.buffer)
    if given.get("restart"):
        kept.have_done(Shell(), kept.RESTART)
        print(RESTARTED)
        if "command" not in given:
            return
    if "command" not in given:
        sys.exit("Nothing was run: give a command, or restart: true.")
    command = given["command"]
    if "\0" in command:
        sys.exit("The command has a NUL character, which no shell can read; write $'\\x00' in it.")
    text = os.memfd_create("command")
    with open(text, "wb", closefd=False) as file:
        file.write(command.encode())
    nowhere = os.open("/dev/null", os.O_RDONLY)
    kept.end_as(kept.have_done(Shell(), b"run", (nowhere, 1, 2, text)))


if __name__ == "__main__":
    main()
