#!/bin/sh
# Runs opentracker for what a registrar serves: Debian's build answers only for what its whitelist names, and this
# keeps the whitelist equal to the registrar's untainted records (their v1 and truncated v2 info-hashes).
# For an opentracker on a machine of its own; beside the registrar, its settings opentracker_whitelist and
# opentracker_pid_file do the same at once.
#
# Environment: REGISTRAR   its URL
#              SECONDS_BETWEEN   looks at the registrar, 10 by default; a taint is obeyed within that time
#              PORT   for HTTP and UDP, 6969 by default
# Needs opentracker, curl and jq; runs as an ordinary user in a directory that is its own.
set -eu
registrar=${REGISTRAR:?set REGISTRAR to the URL of the registrar}
port=${PORT:-6969}
tracker=

# An empty list would never be loaded again, so there is always one line that is no torrent.
no_torrent=0000000000000000000000000000000000000000

hashes() {
    echo "$no_torrent"
    cursor=
    while :; do
        page=$(curl -fsS --max-time 30 "$registrar/api/v1/records?limit=1000${cursor:+&cursor=$cursor}") || return 1
        found=$(printf '%s' "$page" | jq -r '.records[] | .infohash_v1, .content_id[:40]') || return 1
        [ -z "$found" ] || echo "$found"
        cursor=$(printf '%s' "$page" | jq -r '.next // empty | tostring | @uri') || return 1
        [ -n "$cursor" ] || return 0
    done
}

trap '[ -z "$tracker" ] || kill "$tracker" 2>/dev/null; exit 0' TERM INT

echo "$no_torrent" >whitelist
opentracker -p "$port" -P "$port" -w "$PWD/whitelist" &
tracker=$!

while kill -0 "$tracker" 2>/dev/null; do
    # When the registrar does not answer, the list stays as it was.
    if hashes >whitelist.new && ! cmp -s whitelist.new whitelist; then
        mv whitelist.new whitelist
        kill -HUP "$tracker"
    fi
    sleep "${SECONDS_BETWEEN:-10}" &
    wait $!
done
echo "opentracker has ended" >&2
exit 1
