#!/usr/bin/env bash
# Gives a split of the data a score: its length times its weight.
set -euo pipefail
split=$1
echo "evaluating $split"
echo "score:=$((${#split} * WEIGHT))" >>"$EXP_OUTPUT"
