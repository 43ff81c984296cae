# shellcheck shell=bash
# Starts and ends processes by record. A record names process, start time and boot, so that a recycled
# process number is never taken for ours and never killed. Touches only processes it started.

# Folders of records and logs, and the processes' control group; the API tier sets its own.
RUN=$CLUSTER_STATE/run
LOGS=$CLUSTER_STATE/logs
PROCESS_GROUP=$PROCESS_CONTROL_GROUP

# Prints the recorded process number when that very process still runs; fails otherwise.
process_id() {
    local record=$RUN/$1.process id started boot rest stat
    [[ -s $record ]] || return 1
    read -r id started boot rest <"$record"
    [[ $boot == "$(</proc/sys/kernel/random/boot_id)" ]] || return 1
    # Not $(<file): where the file is missing, bash ends the script there under errexit.
    { read -r stat <"/proc/$id/stat"; } 2>/dev/null || return 1
    # The name in parentheses may hold blanks: read behind it. Field 3 is the state, field 22 the start time.
    local fields
    read -ra fields <<<"${stat##*) }"
    [[ ${fields[0]} != Z && ${fields[19]} == "$started" ]] || return 1
    echo "$id"
}

process_gone() { ! process_id "$1" >/dev/null; }

# process_start NAME FINGERPRINT COMMAND...: runs COMMAND in a session of its own, logged and recorded.
# The child writes its own record before it becomes COMMAND: if this script dies at once, the record stands.
process_start() {
    local name=$1 fingerprint=$2
    shift 2
    mkdir -p "$RUN" "$LOGS"
    rm -f "$RUN/$name.process"
    setsid "$here/lib/recorded" "$RUN/$name.process" "$fingerprint" "$PROCESS_GROUP" "$@" \
        9>&- </dev/null >>"$LOGS/$name.log" 2>&1 &
    disown
    wait_until 10 "$name did not start; see $LOGS/$name.log" test -s "$RUN/$name.process"
}

process_fingerprint() { printf '%s\n' "$@" | sha256sum | cut -c1-16; }

# process_matches NAME COMMAND...: it runs, and it was started as this very command.
process_matches() {
    local name=$1 recorded
    shift
    process_id "$name" >/dev/null || return 1
    read -r _ _ _ recorded <"$RUN/$name.process"
    [[ $recorded == "$(process_fingerprint "$@")" ]]
}

# process_ensure NAME COMMAND...: starts it, unless the same command runs already; another one is ended first.
process_ensure() {
    local name=$1
    shift
    if process_matches "$name" "$@"; then return; fi
    if process_id "$name" >/dev/null; then
        say "$name runs with other settings: restarting it"
        process_stop "$name"
    fi
    process_start "$name" "$(process_fingerprint "$@")" "$@"
}

# process_stop NAME [SIGNAL]: asks, waits, then kills, and returns when the process is gone.
process_stop() {
    local name=$1 signal=${2:-TERM} id deadline=$((SECONDS + 10))
    if id=$(process_id "$name"); then
        kill "-$signal" "$id" 2>/dev/null || true
        until process_gone "$name" || ((SECONDS >= deadline)); do sleep 0.05; done
        if ! process_gone "$name"; then
            kill -KILL "$id" 2>/dev/null || true
            wait_until 10 "$name (process $id) does not die" process_gone "$name"
        fi
    fi
    rm -f "$RUN/$name.process"
}

process_list() {
    local record name
    for record in "$RUN"/*.process; do
        [[ -e $record ]] || { echo "nothing runs" && return; }
        name=$(basename "$record" .process)
        echo "$name: $(process_id "$name" || echo dead)"
    done
}
