#!/bin/sh
# Make or renew the virtual environment of this checkout: make_venv.sh FOLDER
# PYTHON names the interpreter; without it, the first one that is new enough.
set -eu
venv=$1
engine_log=$venv/engine.log
install_log=$venv/install.log
built=$venv/engine-built-here
export PIP_DISABLE_PIP_VERSION_CHECK=1

fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

# Print the first interpreter among the arguments that can make the environment.
find_python() {
    bare=
    for python; do
        new_enough "$python" || continue
        if "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
            printf '%s\n' "$python"
            return
        fi
        bare=${bare:-$python}
    done
    [ -z "$bare" ] || fail "$bare cannot make virtual environments: its venv module is not" \
        "complete. On Debian and Ubuntu: apt install python3-venv"
    fail "madrpc needs Python 3.11 or newer; looked for: $*." \
        "Install one, or name it: make PYTHON=/path/to/python3"
}

if [ -n "${PYTHON:-}" ]; then set -- "$PYTHON"; else
    set -- python3 python3.14 python3.13 python3.12 python3.11
fi
{ new_enough "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1; } || {
    python=$(find_python "$@")
    echo "$venv: a virtual environment with $("$python" --version)"
    "$python" -m venv --clear "$venv"
    # An older pip builds the engine again for each checkout, and works otherwise.
    "$venv/bin/python" -m pip install --quiet --upgrade pip 2>/dev/null || :
}

# An engine that was built here before is left as it is.
if [ -e "$built" ]; then again=; else again=--force-reinstall; fi
# shellcheck disable=SC2086  # nothing, or one option
if sh tools/build_engine.sh "$venv/bin/python" $again >"$engine_log" 2>&1; then
    touch "$built"
    echo "engine: quickjs-ng, built here"
else
    rm -f "$built"
    echo "engine: quickjs-ng, the ready-made wheel, which is slower: $(tail -n 1 "$engine_log")," \
        "see $engine_log"
fi
# pip's advice about editable installs is for nobody here; when it fails, all of it is shown.
"$venv/bin/python" -m pip install --quiet --editable '.[dev]' >"$install_log" 2>&1 || {
    cat "$install_log" >&2
    fail "madrpc could not be installed in $venv"
}
