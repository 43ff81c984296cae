# shellcheck shell=bash
# Proves that a cluster is gone: prints what is left of processes, mounts, control groups, links, routes and
# firewall rules, and fails if anything is. Only reads.

leftovers_check() {
    local left
    left=$(leftovers)
    [[ -z $left ]] || die "left behind:
$left
End these by hand, then run 'cluster down' again."
}

leftovers() {
    local process group range
    for process in $(groups_processes); do
        echo "process $process: $(tr '\0' ' ' <"/proc/$process/cmdline" 2>/dev/null | cut -c1-120)"
    done
    while read -r group; do echo "control group $group"; done < <(groups_all)
    awk -v state="$CLUSTER_STATE" -v cache="$FAIRWAY_CACHE" \
        'index($5, state) == 1 || index($5, cache) == 1 {print "mount " $5}' /proc/self/mountinfo
    ip -o link show | sed -n "s/^[0-9]*: \($BRIDGE\|fw-[^@:]*\)[@:].*/link \1/p"
    for range in "$NODE_PREFIX.0/24" "$POD_RANGE" "$SERVICE_RANGE"; do
        ip -4 route show root "$range" | sed 's/^/route /'
    done
    { iptables-save && nft list ruleset; } 2>/dev/null |
        grep -E "(${NODE_PREFIX//./\\.}|${POD_PREFIX//./\\.}|${SERVICE_RANGE%.0.0*})\.[0-9]" | sed 's/^/firewall rule /' || true
    [[ ! -d $CLUSTER_STATE ]] || echo "folder $CLUSTER_STATE"
}
