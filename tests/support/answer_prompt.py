"""Run a program on a terminal of its own and answer each passphrase prompt.

Arguments: ANSWER PROGRAM ARGUMENTS… A program, not a module: it forks, which a test process with threads
must not.
"""

import os
import pty
import re
import sys

_PROMPT = re.compile(rb"passphrase[^\r\n]*: ", re.IGNORECASE)


def main() -> int:
    """Return the exit code of the program."""
    answer, *command = sys.argv[1:]
    child, terminal = pty.fork()
    if child == pty.CHILD:
        os.execvp(command[0], command)  # noqa: S606 - the point of it
    shown = b""
    while True:
        try:
            data = os.read(terminal, 4096)
        except OSError:  # how Linux says that the other side of a terminal is closed
            break
        if not data:
            break
        sys.stdout.buffer.write(data)
        shown += data
        while prompt := _PROMPT.search(shown):
            shown = shown[prompt.end() :]
            os.write(terminal, answer.encode() + b"\n")
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


if __name__ == "__main__":
    sys.exit(main())
