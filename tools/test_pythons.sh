#!/bin/sh
# Run the unit tests and the installed wheel on every Python that madrpc works with and that is
# here: test_pythons.sh FOLDER WHEEL; the environments stay in FOLDER.
# PYTHONS names interpreters; without it, those on the path and those of pyenv.
set -eu
folder=$1
wheel=$2

# Print a version's interpreter, if there is one.
find_version() {
    for python in "python$1" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1".*/bin/python; do
        if "$python" -c 'import venv, ensurepip' 2>/dev/null; then
            command -v "$python"
            return
        fi
    done
}

if [ -z "${PYTHONS:-}" ]; then
    for version in 3.11 3.12 3.13 3.14; do
        found=$(find_version "$version")
        if [ -n "$found" ]; then PYTHONS="${PYTHONS:-} $found"; else
            echo "Python $version is not here"
        fi
    done
fi
for python in ${PYTHONS:-}; do
    env=$folder/$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "== $("$python" --version), $env"
    [ -x "$env/bin/pytest" ] || {
        "$python" -m venv --clear "$env"
        "$env/bin/python" -m pip install --quiet --disable-pip-version-check --editable '.[dev]'
    }
    "$env/bin/python" -m pytest -q -p no:cacheprovider tests/unit tests/test_house.py
    sh tools/check_dist.sh "$python" "$wheel"
done
