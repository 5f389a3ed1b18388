#!/usr/bin/env bash
# The SQL files of the bash flow alone, for the benchmark of many files.
set -euo pipefail
. "$(dirname "$0")/sql.sh"
make_guard_table
apply_folder "$SQL_DIR/pre-schema"
