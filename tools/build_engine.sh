#!/bin/sh
# Build the JavaScript engine from its source: build_engine.sh PYTHON [PIP OPTION]...
# Loops then run 1.4 to 2.9 times faster than with the ready-made wheel. On failure the last line
# says why, and the wheel will do.
set -eu
python=$1
shift
here=$(dirname "$0")
engine=$(sed -n 's/^ *\(quickjs-ng.*\)/\1/p' "$here/../setup.cfg")

install() {
    "$python" -m pip install --no-deps "$@" --no-binary quickjs-ng "$engine"
}

command -v "${CC:-cc}" || command -v gcc || command -v clang || {
    echo "there is no C compiler"
    exit 1
}
# One unit for the linker, whose functions call each other directly: 5 to 8 % faster loops.
if [ -z "${CFLAGS+set}${LDFLAGS+set}" ] && [ "$(uname)" = Linux ]; then
    if (
        export CFLAGS="-O2 -fwrapv -flto=auto -fno-semantic-interposition"
        export LDFLAGS="-O2 -flto=auto -Wl,-Bsymbolic"
        install --no-cache-dir "$@" && "$python" -c 'import quickjs; quickjs.Context().eval("1")'
    ); then
        exit 0
    fi
    set -- --force-reinstall
fi
install "$@" || {
    echo "the build failed"
    exit 1
}
