#!/bin/sh
# Install the wheel as a stranger would, and see that it works: check_dist.sh PYTHON WHEEL
# In a new environment, from another folder, with nothing of this checkout in reach.
set -eu
python=$1
wheel=$(cd "$(dirname "$2")" && pwd)/$(basename "$2")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
unset PYTHONPATH MANPATH

"$python" -m venv "$scratch/env"
"$scratch/env/bin/python" -m pip install --quiet --disable-pip-version-check "$wheel"
cd "$scratch"
PATH=$scratch/env/bin:$PATH
share=$scratch/env/share

madrpc --version
python "$share/madrpc/examples/monte_carlo_pi.py" --local 2 --samples 20000
for file in man/man1/madrpc.1 man/man1/madrpc-node.1 madrpc/examples/README.md; do
    test -s "$share/$file" || {
        echo "$file is not installed" >&2
        exit 1
    }
done
if madrpc completion --help >/dev/null 2>&1; then
    ls "$share"/bash-completion/completions/madrpc* "$share"/zsh/site-functions/_madrpc \
        "$share"/fish/vendor_completions.d/madrpc.fish >/dev/null
fi
if command -v man >/dev/null; then man -w madrpc >/dev/null; fi
echo "$("$scratch/env/bin/python" --version): the installed wheel works"
