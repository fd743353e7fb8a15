#!/bin/sh
# Makes .venv with the pinned packages, and installs a headless OpenGL where none renders. Run by every make target:
# what is done already is left alone, without asking the network.
set -eu
cd "$(dirname "$0")/.."

fail() {
    echo "set-up: $*" >&2
    exit 1
}

# apt_install REMEDY PACKAGE...: installs as root or through sudo; without either, fails with REMEDY and the command.
apt_install() {
    remedy=$1
    shift
    command -v apt-get >/dev/null 2>&1 || fail "$remedy (on Debian or Ubuntu: apt-get install $*)"
    if [ "$(id -u)" -eq 0 ]; then
        as_root=env
    elif sudo -n true 2>/dev/null || { [ -t 0 ] && command -v sudo >/dev/null 2>&1; }; then
        as_root="sudo env"
    else
        fail "$remedy: ask for: apt-get install $*"
    fi
    echo "set-up: installing $*"
    $as_root DEBIAN_FRONTEND=noninteractive apt-get update -qq || true # an old list of packages may still do
    $as_root DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" >/dev/null ||
        fail "$remedy; this failed: apt-get install $*"
}

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

find_python() {
    for python in "${PYTHON:-python3}" python3 python3.13 python3.12 python3.11; do
        if new_enough "$python"; then
            return
        fi
    done
    command -v "${PYTHON:-python3}" >/dev/null 2>&1 &&
        fail "needs Python 3.11 or newer, found $("${PYTHON:-python3}" --version 2>&1); name another one: make setup PYTHON=/path/to/python3"
    apt_install "needs Python 3.11 or newer" python3 python3-venv
    python=python3
    new_enough python3 || fail "needs Python 3.11 or newer, this system has $(python3 --version 2>&1)"
}

make_venv() {
    # A .venv whose Python has gone (upgraded, or copied from another machine) is made anew.
    if .venv/bin/python -c 'import pip' 2>/dev/null && new_enough .venv/bin/python; then
        return
    fi
    find_python
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        apt_install "needs Python's venv module" "$(basename "$python")-venv"
    fi
    echo "set-up: making .venv with $("$python" --version)"
    "$python" -m venv --clear .venv || fail "$python -m venv .venv failed (see above)"
}

cpu_index=https://download.pytorch.org/whl/cpu

no_nvidia() {
    [ ! -e /dev/nvidiactl ] && [ ! -e /dev/dxg ] && ! command -v nvidia-smi >/dev/null 2>&1
}

reachable() {
    .venv/bin/python -c 'import sys, urllib.request; urllib.request.urlopen(sys.argv[1], timeout=5)' "$1" 2>/dev/null
}

pip_install() {
    .venv/bin/python -m pip install -q --disable-pip-version-check "$@"
}

install_packages() {
    wanted=$(sha256sum <requirements.txt | cut -d ' ' -f 1)
    stamp=.venv/installed
    if [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
        return
    fi
    echo "set-up: installing the packages of requirements.txt"
    if no_nvidia && [ -z "$(.venv/bin/python -m pip freeze 2>/dev/null | grep '^torch==')" ] && reachable "$cpu_index/torch/"; then
        # The processor's build of torch is 200 MB instead of the gigabytes that come with CUDA.
        pip_install --no-deps --index-url "$cpu_index" "$(grep '^torch==' requirements.txt)" || true # then PyPI's build
    fi
    pip_install -r requirements.txt || fail "pip could not install requirements.txt (see above); is the network there?"
    echo "$wanted" >"$stamp"
}

renders() {
    .venv/bin/python -c 'import logging; from envs import gl; gl.choose()' 2>/dev/null
}

install_opengl() {
    # Who sets MUJOCO_GL has decided already.
    if [ -n "${MUJOCO_GL:-}" ] || [ -e .venv/renders ]; then
        return
    fi
    if ! renders; then
        need="needs a headless OpenGL"
        apt_install "$need" libegl1 libgl1 libopengl0 libgl1-mesa-dri
        if ! renders && apt-cache show libosmesa6 >/dev/null 2>&1; then
            apt_install "$need" libosmesa6
        fi
        renders || fail "neither EGL nor OSMesa renders after installing Mesa; see docs/install.md, rendering"
    fi
    touch .venv/renders
}

make_venv
install_packages
install_opengl
