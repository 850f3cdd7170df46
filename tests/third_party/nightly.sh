#!/bin/sh
# Runs a spec once a day and says in one line how it went, for cron: it knows exp by its ids, its JSON
# documents and its exit codes only.
#
#   nightly.sh SPEC [KEY]
#
# Ends with the exit code of the experiment; a run of the same key that is under way is left alone.
set -u

spec=$1
key=${2:-nightly-$(date +%F)}

# What failed, by the status document on standard input: one line of "task: reason (exit code)" each.
failed_tasks() {
    if command -v jq >/dev/null 2>&1; then
        jq -r '.tasks[] | select(.status == "FAILED") | "\(.id): \(.reason) (\(.exit_code // "-"))"'
    else
        python3 -c '
import json, sys
for task in json.load(sys.stdin)["tasks"]:
    if task["status"] == "FAILED":
        code = "-" if task["exit_code"] is None else task["exit_code"]
        print("%s: %s (%s)" % (task["id"], task["reason"], code))'
    fi
}

id=$(exp run "$spec" --detach --key "$key" --if-running fail)
code=$?
if [ "$code" -eq 8 ]; then
    echo "$key: already running"
    exit 0
elif [ "$code" -ne 0 ]; then
    echo "$key: not started, exit code $code"
    exit "$code"
fi

exp wait "$id" --timeout 12h >/dev/null
code=$?
if [ "$code" -eq 1 ] || [ "$code" -eq 9 ]; then
    # It failed or was interrupted: once more, from where it was.
    exp resume "$id" >/dev/null
    code=$?
fi

case $code in
0) echo "$key: $id completed" ;;
1) echo "$key: $id failed" ;;
4) echo "$key: $id is not over yet" ;;
5) echo "$key: $id was cancelled" ;;
*) echo "$key: $id, exit code $code" ;;
esac
if [ "$code" -eq 1 ]; then
    exp status "$id" --json | failed_tasks
fi
exit "$code"
