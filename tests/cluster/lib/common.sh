# shellcheck shell=bash
# Names, addresses, paths, messages, waits and the lock, shared by every part. Touches nothing but the lock file.

FAIRWAY_CACHE=${FAIRWAY_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/fairway}
readonly FAIRWAY_CACHE
readonly CLUSTER_STATE=${FAIRWAY_CLUSTER:-/var/lib/fairway-cluster}
readonly KUBECONFIG_FILE=$CLUSTER_STATE/kubeconfig
readonly TOOLS=$here/tools

# Addresses. One /24 of POD_RANGE a node; SERVICE_RANGE holds the API server's .1 and the DNS server's .10.
readonly BRIDGE=fairway0 HOST_ADDRESS=10.200.0.1 NODE_PREFIX=10.200.0 POD_PREFIX=10.244
readonly POD_RANGE=10.244.0.0/16 SERVICE_RANGE=10.96.0.0/16 API_SERVICE_ADDRESS=10.96.0.1 DNS_ADDRESS=10.96.0.10
readonly API_PORT=6443 ETCD_PORT=23790 ETCD_PEER_PORT=23800 REGISTRY_PORT=5000
readonly REGISTRY=$HOST_ADDRESS:$REGISTRY_PORT
# Every process of the cluster lives below this control group, so that none can be lost sight of. The processes
# have a group of their own in it: on version 2 only a group without groups below may hold processes.
readonly CONTROL_GROUP=fairway-cluster
readonly PROCESS_CONTROL_GROUP=$CONTROL_GROUP/processes

# A proxy of the user's is for the world outside; what stands here is near.
export NO_PROXY="${NO_PROXY:-${no_proxy:-}}"
[[ $NO_PROXY == *"$SERVICE_RANGE"* ]] ||
    NO_PROXY="${NO_PROXY:+$NO_PROXY,}localhost,127.0.0.1,$NODE_PREFIX.0/24,$POD_RANGE,$SERVICE_RANGE,.svc,.cluster.local"

say() { printf '[%3ds] %s\n' "$SECONDS" "$*" >&2; }

die() {
    printf 'cluster: %s\n' "$*" >&2
    exit 1
}

require_root() {
    ((EUID == 0)) || die "this makes network namespaces, mounts and control groups: run it as root"
}

# wait_until SECONDS WHAT COMMAND...: tries COMMAND until it succeeds; dies with WHAT when the time is over.
wait_until() {
    local deadline=$((SECONDS + $1)) what=$2
    local limit=$1
    shift 2
    until "$@"; do
        ((SECONDS < deadline)) || die "waited $limit s in vain: $what"
        sleep 0.1
    done
}

# with_progress WHAT COMMAND...: says every 20 s that WHAT still goes on.
with_progress() {
    local what=$1 code=0 reporter
    shift
    # Watches this script, so that it ends even when that is killed.
    (
        while sleep 20 && kill -0 $$ 2>/dev/null; do say "still $what"; done
    ) 8>&- 9>&- &
    reporter=$!
    "$@" || code=$?
    kill "$reporter" 2>/dev/null || true
    wait "$reporter" 2>/dev/null || true
    return "$code"
}

# One run at a time changes the cluster. Started processes must not inherit descriptor 9 (see process_start).
take_lock() {
    mkdir -p /run/lock
    exec 9>"/run/lock/fairway-cluster.lock"
    flock -n 9 && return
    say "another run holds the lock; waiting for it"
    flock -w 1200 9 || die "another run has held /run/lock/fairway-cluster.lock for 20 minutes; end it and try again"
}

# The state folder carries a mark, so that only a folder made here is ever removed.
state_create() {
    if [[ -d $CLUSTER_STATE && ! -e $CLUSTER_STATE/.fairway-cluster && -n $(ls -A "$CLUSTER_STATE") ]]; then
        die "$CLUSTER_STATE exists and was not made by this tool; move it away or set FAIRWAY_CLUSTER"
    fi
    mkdir -p "$CLUSTER_STATE"/{run,logs,nodes,certificates,etcd}
    chmod 700 "$CLUSTER_STATE"
    touch "$CLUSTER_STATE/.fairway-cluster"
}

state_remove() {
    [[ -e $CLUSTER_STATE/.fairway-cluster ]] || return 0
    rm -rf --one-file-system "$CLUSTER_STATE"
}

# The version that the tool group's go.mod pins.
module_version() { awk -v module="$2" '$1 == "require" && $2 == module {print $3; exit} $1 == module {print $2; exit}' "$TOOLS/$1/go.mod"; }
kubernetes_version() { module_version kubernetes k8s.io/kubernetes; }

kubectl() { "$(binaries_folder kubernetes)/kubectl" --kubeconfig "$KUBECONFIG_FILE" "$@"; }
