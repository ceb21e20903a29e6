"""What is known of an account's login shell, and which command lines need no further shell to run exactly as in it."""

import re
from dataclasses import dataclass

_POSIX = frozenset({"bash", "zsh", "ksh", "ksh93", "mksh", "dash", "ash", "sh"})
_PLAIN = frozenset({"bash", "dash", "ash", "sh"})
"""Shells whose words mean nothing more than POSIX says, and that read no start-up files that define names unseen."""

# Plain characters and quotes without anything to expand in them. The first word can't be an assignment; no word begins
# with `=`, which zsh expands. What does not match is left to a shell, so this may be narrow but never wide.
_WORD = r"""(?:[A-Za-z0-9_./:@%+,=-]|'[^'\n]*'|"[^"$`\\!\n]*")++"""
_SIMPLE = re.compile(rf"[ \t]*([A-Za-z0-9_./][A-Za-z0-9_./+-]*+)(?:[ \t]++(?!=){_WORD})*+[ \t]*\n?")

_BUILTINS = frozenset({"echo", "printf", "true", "false", ":", "pwd", "test"})
"""Built-in commands that a waiting shell runs just as a new one would."""
_RESERVED_WORDS = """
. : alias autoload bg bind break builtin bye caller case cd chdir command compgen complete compopt continue coproc
declare dirs disown do done echo echotc echoti elif else emulate enable end esac eval exec exit export false fc fg fi
float for foreach function functions getln getopts global hash help history if in integer jobs kill let limit local log
logout mapfile nameref nocorrect noglob popd print printf pushd pushln pwd r read readarray readonly rehash rename
repeat return sched select set setopt shift shopt source suspend switch test then time times trap true ttyctl type
typeset ulimit umask unalias unfunction unhash unlimit unset unsetopt until vared wait whence where which while zle
zmodload zstyle
"""
_RESERVED = frozenset(_RESERVED_WORDS.split())
"""Words that some shell does not look for among the programs."""


@dataclass(frozen=True, slots=True)
class LoginShell:
    """The shell of an account."""

    path: str
    names: frozenset[str] = frozenset()
    """Functions and aliases that it reported."""

    @property
    def name(self) -> str:
        """Last part of the path, such as `bash`."""
        return self.path.rpartition("/")[2]

    @property
    def waits(self) -> bool:
        """Whether it can be the waiting shell itself."""
        return self.name in _PLAIN

    @property
    def runs_posix(self) -> bool:
        """Whether commands are for it; fish and the C shells speak another language, so theirs get a POSIX shell."""
        return self.name in _POSIX

    @property
    def is_bash(self) -> bool:
        """Whether it has bash's `read -N` and `exec -a`."""
        return self.name == "bash"

    def program(self, command: str) -> str | None:
        """The word that names the program which a plain command line starts; None where a shell has to read it."""
        # Dash starts a program below itself and reports its signals as exit codes.
        name = _first_word(command) if self.is_bash else None
        if name is None or name in _RESERVED or name in self.names:
            return None
        # `exec` would make a relative path absolute, which a script sees as its name.
        return None if "/" in name[1:] and name[0] != "/" else name

    def builtin(self, command: str) -> bool:
        """Whether a plain command line is one built-in command that needs no shell of its own."""
        return self.name in _PLAIN and _first_word(command) in _BUILTINS - self.names


def _first_word(command: str) -> str | None:
    simple = _SIMPLE.fullmatch(command)
    return simple[1] if simple else None
