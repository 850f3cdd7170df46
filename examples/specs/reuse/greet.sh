# shellcheck shell=bash
echo "$GREETING, $1$MARK"
echo "${PACE:-slow}" > "$EXP_SHARED/pace"
