#!/usr/bin/env bash
# Makes the Python environment the project runs in: install.sh STACK VENV [PYTHON]
#
#   STACK   onedl (maintained packages, current torch) or openmmlab (classic packages, torch 2.1)
#   VENV    folder of the environment; one that holds everything is used as it is, an incomplete one is completed
#   PYTHON  interpreter a new environment is made from
#
# The one long step is compiling mmcv's ops (10-20 minutes on 2 cores; longer with CUDA). It is skipped when they
# are there. They are compiled with CUDA where torch sees a GPU, or with FORCE_CUDA=1 (a login node); that takes
# the nvcc of torch's CUDA, found by CUDA_HOME. TORCH_CUDA_ARCH_LIST names the GPUs to compile for.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

stack=${1:?usage: install.sh STACK VENV [PYTHON]}
venv=${2:?usage: install.sh STACK VENV [PYTHON]}
wanted_python=${3:-}
stamp=$venv/.clipself_mm-$stack.stamp
log=$venv/mmcv-build.log
python=$venv/bin/python

say() { printf '== %s\n' "$*"; }
fail() {
    printf '\n== The environment is not complete.\n%s\n' "$*" >&2
    exit 1
}

# Prints the first interpreter that runs, is new enough, can make an environment and has its headers.
find_python() {
    local newest=12 candidate reason
    [ "$stack" = openmmlab ] && newest=11
    for candidate in ${wanted_python:-python3.11 python3.12 python3.10 python3 python}; do
        if reason=$("$candidate" - "$newest" 2>&1 <<'PY'
import ensurepip, pathlib, sys, sysconfig, venv
newest = int(sys.argv[1])
if not (3, 10) <= sys.version_info[:2] <= (3, newest):
    sys.exit(f'is Python {sys.version.split()[0]}, expected 3.10-3.{newest}')
header = pathlib.Path(sysconfig.get_paths()['include'], 'Python.h')
if not header.exists():
    sys.exit(f'has no headers to compile against ({header})')
PY
        ); then
            printf '%s\n' "$candidate"
            return
        fi
        printf '   %s: %s\n' "$candidate" "${reason##*$'\n'}" >&2
    done
    return 1
}

# Everything can be imported, with versions that fit: what `make` needs of an environment it did not make.
is_complete() {
    [ -x "$python" ] || return 1
    "$python" clipself_mm/environment.py >/dev/null 2>&1 || return 1
    have_ops || return 1
    "$python" - >/dev/null 2>&1 <<'PY'
import cv2, faster_coco_eval, lap, lmdb, matplotlib, mmcv.ops, mmdet, mmengine, mmseg, open_clip, panopticapi, pycocotools
import codespell_lib, pytest, safetensors, timm, torch, torchvision, tqdm, xdist
from importlib.util import find_spec
others = ('gradio', 'mkdocs', 'mkdocstrings', 'nbmake', 'playwright', 'ruff', 'supervision')
raise SystemExit(None in map(find_spec, others))
PY
}

# mmcv's ops can be imported, and are for the GPU where there is one or FORCE_CUDA=1 asks for it.
have_ops() {
    "$python" -c 'import mmcv.ops, os, torch
wanted = torch.cuda.is_available() or os.environ.get("FORCE_CUDA") == "1"
raise SystemExit(wanted and mmcv.ops.get_compiling_cuda_version() == "not available")' >/dev/null 2>&1
}

# Fails where ops for a GPU are to be compiled and nvcc is not there; prints torch's version of CUDA.
have_nvcc() {
    "$python" -c 'import os, torch
from torch.utils.cpp_extension import CUDA_HOME
wanted = torch.cuda.is_available() or os.environ.get("FORCE_CUDA") == "1"
print(torch.version.cuda or torch.version.hip)
raise SystemExit(wanted and not (torch.version.hip or os.path.exists(f"{CUDA_HOME}/bin/nvcc")))' 2>/dev/null
}

pip_install() { "$python" -m pip install --disable-pip-version-check "$@"; }
pins=(-c "requirements/build-$stack.txt" -c "requirements/mm-$stack.txt")

# Compiles mmcv; one short line per object instead of the compiler's output, which goes to $log.
build_mmcv() {
    MMCV_WITH_OPS=1 MAX_JOBS=${MAX_JOBS:-$(getconf _NPROCESSORS_ONLN)} \
        pip_install -v --no-build-isolation "$@" "${pins[@]}" -r "requirements/mmcv-$stack.txt" 2>&1 |
        tee "$log" |
        while IFS= read -r line; do
            if [[ $line =~ ^\ *(\[[0-9]+/[0-9]+\]) ]]; then
                echo "   mmcv ops ${BASH_REMATCH[1]}"
            fi
        done
}

# The web page is tested in Chromium (CHROMIUM names another binary), a Debian package, which root may install.
# Elsewhere those tests are skipped.
get_browser() {
    local name
    for name in ${CHROMIUM:-chromium chromium-browser google-chrome}; do
        command -v "$name" >/dev/null && return
    done
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "Installing Chromium, in which the tests open the web page"
        { apt-get install -y --no-install-recommends chromium ||
            { apt-get update && apt-get install -y --no-install-recommends chromium; }; } >"$venv/chromium.log" 2>&1 && return
    fi
    say "No Chromium here: the tests of the web page in a browser will be skipped. On Debian: apt-get install chromium"
}

explain_failed_build() {
    tail -n 30 "$log" >&2
    fail "mmcv's ops were not built (the last lines are above, all of them in $log).
They need a C++17 compiler and Python's headers; on Debian and Ubuntu:
    apt-get install g++ python3-dev
Little memory? Compile one file at a time: MAX_JOBS=1 make env
With CUDA, nvcc must be of torch's major version (CUDA_HOME says which nvcc): docs/paper-numbers.md, step 1"
}

case $stack in
    onedl | openmmlab) ;;
    *) fail "STACK=$stack is not known: onedl or openmmlab" ;;
esac

if ! grep -qs '^built' "$stamp" && is_complete; then
    get_browser
    say "$venv holds everything: used as it is"
    echo 'used as it is' 2>/dev/null >"$stamp" || true
    exit 0
fi

other=$([ "$stack" = onedl ] && echo mmcv || echo onedl_mmcv)
if compgen -G "$venv/lib/python3*/site-packages/$other-*.dist-info" >/dev/null; then
    fail "$venv holds the packages of the other stack; give STACK=$stack a folder of its own with VENV=path"
fi

if [ ! -x "$python" ]; then
    say "Looking for a Python to make $venv from"
    found=$(find_python) || fail "No usable Python (see above). Install one with its headers and venv, on Debian and Ubuntu:
    apt-get install python3 python3-venv python3-dev
or name one: make env PYTHON=/path/to/python3.11"
    "$found" -m venv "$venv"
    pip_install --upgrade pip
elif ! "$python" -c 'import pip' 2>/dev/null; then  # made by another tool, or its making was interrupted
    "$python" -m ensurepip || fail "$venv has no pip, and its Python cannot make one; remove the folder, or give another by VENV=path"
fi
read -ra cxx <<<"${CXX:-c++}"  # it may be "ccache g++"
if ! have_ops && ! command -v "${cxx[0]}" >/dev/null; then
    fail "mmcv's ops are compiled here, which needs a C++17 compiler (${cxx[0]} is not there). On Debian and Ubuntu:
    apt-get install g++ python3-dev"
fi

say "1/4 torch and build tools ($venv, $("$python" --version), log of the long step in $log)"
pip_install -r "requirements/build-$stack.txt"
pip_install --no-deps --no-build-isolation -e .

if have_ops; then
    say "2/4 mmcv's compiled ops are there already"
else
    cuda=$(have_nvcc) || fail "mmcv's ops are to be compiled for a GPU, which needs the nvcc of CUDA $cuda (torch's; the major
version must agree). Install that toolkit, or name its folder:
    CUDA_HOME=/usr/local/cuda-$cuda make env
Without a GPU in use: CUDA_VISIBLE_DEVICES= make env"
    say "2/4 compiling mmcv's ops, the long step (10-20 minutes on 2 cores; longer with CUDA)"
    build_mmcv || explain_failed_build
    if ! have_ops; then  # pip caches the wheel it built and does not know for which torch, nor whether with CUDA
        say "The wheel in pip's cache does not fit this torch or has no CUDA; compiling once more"
        build_mmcv --no-cache-dir --force-reinstall --no-deps || explain_failed_build
        have_ops || explain_failed_build
    fi
fi

say "3/4 mmengine, mmdet, mmsegmentation, open_clip and the tools"
pip_install "${pins[@]}" \
    -r "requirements/mm-$stack.txt" -r requirements/runtime.txt -r requirements/dev.txt
pip_install --no-deps -r requirements/no_deps.txt

say "4/4 checking"
if ! "$python" -c 'import cv2' 2>/dev/null; then  # the full OpenCV needs libGL, the headless one does not
    pip_install --force-reinstall --no-deps "$(grep '^opencv-python-headless' "requirements/build-$stack.txt")"
    "$python" -c 'import cv2' || fail "OpenCV cannot be imported (see above). On Debian and Ubuntu:
    apt-get install libgl1 libglib2.0-0"
fi
"$python" clipself_mm/environment.py || fail 'The packages do not fit each other (see above).'
is_complete || fail "Something cannot be imported; this says what:
    $python -c 'import mmcv.ops, mmdet, mmseg, open_clip, timm, faster_coco_eval, panopticapi, pytest'"
get_browser
echo built >"$stamp"
say "Done: $venv"
