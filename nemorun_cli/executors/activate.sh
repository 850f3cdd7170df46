#!/bin/sh
# Starts the program of a task in a Python environment, on any host and in any container. POSIX sh; needs no other
# program.
#
#   activate KIND PREFIX PROGRAM [ARGUMENT ...]
#
# KIND     venv, conda or uv: which variables name the environment
# PREFIX   the folder of the environment; its programs come first on the PATH
#
# Its variables begin with EXP_, which no variable of a task may. It becomes the program, so the task has no further
# process. Without the environment, or the program, it exits with 127.
EXP_ACTIVATE_KIND=$1 EXP_ACTIVATE_PREFIX=$2
shift 2
if [ ! -x "$EXP_ACTIVATE_PREFIX/bin/python" ]; then
    printf 'exp: there is no Python environment in %s: it has no bin/python that can run\n' "$EXP_ACTIVATE_PREFIX" >&2
    exit 127
fi
PATH=$EXP_ACTIVATE_PREFIX/bin${PATH:+:$PATH}
unset PYTHONHOME __PYVENV_LAUNCHER__
if [ "$EXP_ACTIVATE_KIND" = conda ]; then
    unset VIRTUAL_ENV VIRTUAL_ENV_PROMPT
    CONDA_PREFIX=$EXP_ACTIVATE_PREFIX CONDA_DEFAULT_ENV=${EXP_ACTIVATE_PREFIX##*/}
    export PATH CONDA_PREFIX CONDA_DEFAULT_ENV
else
    unset CONDA_PREFIX CONDA_DEFAULT_ENV CONDA_PROMPT_MODIFIER
    VIRTUAL_ENV=$EXP_ACTIVATE_PREFIX
    export PATH VIRTUAL_ENV
fi
case $1 in
*/*) ;;
*)
    if ! command -v -- "$1" >/dev/null; then
        printf 'exp: there is no program %s in %s/bin or elsewhere on the PATH\n' "$1" "$EXP_ACTIVATE_PREFIX" >&2
        exit 127
    fi
    ;;
esac
exec "$@"
