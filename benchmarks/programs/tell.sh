#!/bin/sh
# A child that says its pid on the named pipe $TELL as its first act, and ends at once on SIGTERM.
echo $$ >"$TELL"
exec sleep 1000000
