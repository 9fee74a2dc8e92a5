"""Write the shells' completion scripts from the real parsers.

Usage: make_completions.py [FOLDER]; by default into madrpc/cli/completions of this checkout.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

# The same scripts on every machine: nobody's variables, nobody's terminal.
for name in [name for name in os.environ if name.startswith("MADRPC_")]:
    del os.environ[name]
os.environ["COLUMNS"] = "10000"
sys.path.insert(0, str(ROOT))

import shtab  # noqa: E402

from madrpc.cli.parsers import ALIASES, COMMANDS  # noqa: E402
from madrpc.cli.shells import COMPLETIONS, FILES  # noqa: E402
from madrpc.version import __version__  # noqa: E402

HEADER = "# Completion of madrpc's command line; made from its parsers by 'make completions'."

ADDRESS = {
    "bash": "_madrpc_addresses",
    "zsh": "_madrpc_addresses",
    "fish": "(__madrpc_addresses)",
}
METHOD = {
    "bash": "_madrpc_methods",
    "zsh": "_madrpc_methods",
    "fish": "(__madrpc_methods)",
}
#: What stands for a value in the usage, and what completes it.
BY_METAVAR = {"SCRIPT": shtab.FILE, "FILE": shtab.FILE, "DIR": shtab.DIRECTORY}
BY_DEST = {"address": ADDRESS, "target": ADDRESS, "method": METHOD, "words": METHOD}

# Names of functions come from a server, so none is offered that a shell would read as more than a
# word. The address is the first word that looks like one, else the word before.
PREAMBLE = {
    "bash": r"""
_madrpc_addresses() {
  local address=${MADRPC_TARGET:-127.0.0.1:8080}
  [[ $address == "$1"* ]] && printf '%s\n' "$address"
}

_madrpc_methods() {
  local address='' word name
  for word in "${COMP_WORDS[@]:2:COMP_CWORD-2}"; do
    [[ $word == *:[0-9]* && $word != -* ]] && { address=$word; break; }
  done
  [[ -n $address ]] || address=${COMP_WORDS[COMP_CWORD-1]}
  [[ $address == -* ]] && return
  while IFS= read -r name; do
    [[ $name =~ ^[A-Za-z0-9_.-]+$ && $name == "$1"* ]] && printf '%s\n' "$name"
  done < <("${COMP_WORDS[0]}" methods --names -t 1 "$address" 2>/dev/null)
}
""",
    "zsh": r"""
_madrpc_addresses() {
  compadd -- ${MADRPC_TARGET:-127.0.0.1:8080}
}

_madrpc_methods() {
  local address=${${(M)words[1,CURRENT-1]:#[^-]*:[0-9]*}[1]:-${words[CURRENT-1]}}
  local -a names
  names=(${(M)${(f)"$(madrpc methods --names -t 1 $address 2>/dev/null)"}:#[A-Za-z0-9_.-]##})
  compadd -a names
}
""",
    "fish": r"""
function __madrpc_addresses
  if set -q MADRPC_TARGET
    echo $MADRPC_TARGET
  else
    echo 127.0.0.1:8080
  end
end

function __madrpc_methods
  set -l words (commandline -opc)
  set -l address (string match -r -- '^[^-].*:[0-9].*$' $words)[1]
  test -n "$address"; or set address $words[-1]
  madrpc methods --names -t 1 $address 2>/dev/null | string match -r -- '^[A-Za-z0-9_.-]+$'
end
""",
}

# Bash breaks words at colons and equal signs, so an address would be three of them.
BASH_END = r"""
_madrpc_complete() {
  local -a whole=()
  local at word last=-1 current=0
  for ((at = 0; at < ${#COMP_WORDS[@]}; at++)); do
    word=${COMP_WORDS[at]}
    if ((last > 0)) && [[ $word == = && ${whole[last]} == --* ]]; then
      # What follows is the option's value.
      ((at == COMP_CWORD)) && { whole+=(""); ((last += 1)); }
    elif ((last > 0)) && [[ $word == [:=]* || ${whole[last]} == *[:=] ]]; then
      whole[last]+=$word
    else
      whole+=("$word")
      ((last += 1))
    fi
    ((at == COMP_CWORD)) && current=$last
  done
  local -a COMP_WORDS=("${whole[@]}")
  local COMP_CWORD=$current
  _shtab_madrpc
  # Only what follows the last break is replaced.
  local typed=${whole[current]}
  if [[ $typed == *:* && $COMP_WORDBREAKS == *:* ]]; then
    COMPREPLY=("${COMPREPLY[@]#"${typed%"${typed##*:}"}"}")
  fi
}

complete -o bashdefault -F _madrpc_complete madrpc
"""


def whole_parser() -> argparse.ArgumentParser:
    """One parser with every command below it, which no run of madrpc needs."""
    parser = argparse.ArgumentParser(prog="madrpc")
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, (make, summary) in COMMANDS.items():
        _add(commands, name, make(), summary)
    for alias, name in ALIASES.items():
        _add(commands, alias, COMMANDS[name][0](), COMMANDS[name][1])
    return parser


def _add(commands: Any, name: str, parser: argparse.ArgumentParser, summary: str) -> None:
    for action in parser._actions:
        values = BY_METAVAR.get(str(action.metavar), BY_DEST.get(action.dest))
        if values is not None and not (name == "run" and values is METHOD):
            action.complete = values  # type: ignore[attr-defined]
    # The summary is enough beside a command's name.
    parser.description = summary
    commands.add_parser(name, help=summary)
    commands._name_parser_map[name] = parser


def script_for(shell: str) -> str:
    """The completion script."""
    text = shtab.complete(whole_parser(), shell=shell, preamble=PREAMBLE)
    lines = [line.rstrip() for line in text.splitlines()]
    first = next(at for at, line in enumerate(lines) if line and not line.startswith("#"))
    top = [lines[0]] if shell == "zsh" else []
    body = "\n".join([*top, HEADER, "", *lines[first:]])
    if shell == "bash":
        body = body.partition("\ncomplete -o")[0] + BASH_END
    return body.rstrip() + "\n"


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else COMPLETIONS
    target.mkdir(parents=True, exist_ok=True)
    for shell, name in FILES.items():
        (target / name).write_text(script_for(shell), encoding="utf-8")


if __name__ == "__main__":
    main()
