# shellcheck shell=bash
# Nodes. Each is a set of namespaces (mount, process, network, host name) around its own containerd, kubelet and
# kube-proxy, all children of lib/node-init. When that one process dies the kernel ends everything on the node,
# with its mounts and its network: losing a node needs no list of what ran there, and leaves nothing behind.

# Folders of the machine that nodes mount their own over; those made here go again with the cluster.
readonly NODE_FOLDERS=(/var/lib/kubelet /var/lib/containerd /var/lib/cni /var/lib/local-path /var/log/pods /var/log/containers)

nodes_list() { [[ ! -d $CLUSTER_STATE/nodes ]] || find "$CLUSTER_STATE/nodes" -mindepth 1 -maxdepth 1 -printf '%f\n' | sort; }

# nodes_up COUNT: starts and mends node-1 to node-COUNT, and removes those beyond.
nodes_up() {
    local count=$1 index name
    folders_create
    for name in $(nodes_list); do
        ((${name#node-} <= count)) || node_remove "$name"
    done
    for ((index = 1; index <= count; index++)); do mkdir -p "$CLUSTER_STATE/nodes/node-$index"; done
    # Made before the kubelets start: a kubelet that registers itself stays NotReady for over two minutes,
    # because its wait for the CSINode object begins too early.
    nodes_list | nodes_register
    for name in $(nodes_list); do node_start "$name"; done
    network_routes
    for name in $(nodes_list); do node_wait_ready "$name"; done
}

nodes_down() {
    local name
    for name in $(nodes_list); do node_stop "$name"; done
}

node_remove() {
    say "removing $1"
    node_stop "$1"
    kubectl delete node "$1" --ignore-not-found >&2
    # At once: the collector of orphaned pods would take a minute.
    kubectl delete pods --all-namespaces --field-selector "spec.nodeName=$1" --force --grace-period=0 &>/dev/null || true
    ip route del "$(node_pod_range "$1")" 2>/dev/null || true
    rm -rf --one-file-system "${CLUSTER_STATE:?}/nodes/$1"
}

nodes_register() {
    local name present
    present=" $(kubectl get nodes -o name | sed 's#node/##' | xargs) "
    while read -r name; do
        [[ $present != *" $name "* ]] || continue
        cat <<YAML
---
apiVersion: v1
kind: Node
metadata:
  name: $name
  labels: {kubernetes.io/hostname: $name, kubernetes.io/os: linux, kubernetes.io/arch: amd64}
spec: {podCIDR: $(node_pod_range "$name"), podCIDRs: ["$(node_pod_range "$name")"]}
YAML
    done | { if read -r line; then { echo "$line" && cat; } | kubectl create -f - >&2; fi; }
}

node_start() {
    local name=$1 folder=$CLUSTER_STATE/nodes/$1 process command
    node_configure "$name"
    # The settings' hash among the arguments: changed settings start the node anew.
    command=(unshare --mount --pid --net --uts --ipc --propagation private --fork --kill-child=KILL
        "$folder/settings/node-init" "$name" "$folder" "$(binaries_folder kubernetes)"
        "$(find "$folder/settings" -type f -print0 | sort -z | xargs -0 cat | sha256sum | cut -c1-16)")
    if ! process_matches "$name" "${command[@]}" || [[ ! -e /sys/class/net/fw-$name ]]; then
        node_stop "$name"
        groups_create "$CONTROL_GROUP/$name"
        date -u +%Y-%m-%dT%H:%M:%SZ >"$folder/started"
        process_ensure "$name" "${command[@]}"
    fi
    process=$(process_id "$name") || die "$name died at its start; see $LOGS/$name.log"
    wait_until 10 "$name has no network namespace; see $LOGS/$name.log" node_separate "$process"
    network_node_up "$name" "$process"
}

# The recorded process is unshare: its own namespaces are the node's once it has called unshare(2).
node_separate() { [[ $(readlink "/proc/$1/ns/net") != "$(readlink /proc/self/ns/net)" ]]; }

# Abrupt: the link goes first, so that no closing handshake of dying processes gets out, as when power is lost.
node_stop() {
    local name=$1 init
    ip link set "fw-$name" down 2>/dev/null || true
    if process_id "$name" >/dev/null; then
        init=$(cat "/proc/$(process_id "$name")/task/"*/children 2>/dev/null | xargs) || true
        process_stop "$name" KILL
        # The kernel ends the namespace's first process last, after all others.
        [[ -z $init ]] || wait_until 20 "processes of $name do not end" process_ended "$init"
    fi
    rm -f "$RUN/$name.process"
    ip link delete "fw-$name" 2>/dev/null || true
    network_service_route || say "no way to Services for now: the bridge is gone"
    wait_until 10 "control groups of $name stay busy" groups_removed "$CONTROL_GROUP/$name"
}

process_ended() { [[ ! -e /proc/$1 ]] || grep -q '^State:.*Z' "/proc/$1/status" 2>/dev/null; }

# Ready, by a kubelet that has renewed its lease since it was started: what the API says of a node that has
# just died may still be the old news.
node_ready() {
    local status renewed
    status=$(kubectl get node "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}' 2>/dev/null) || return 1
    renewed=$(kubectl get lease -n kube-node-lease "$1" -o 'jsonpath={.spec.renewTime}' 2>/dev/null) || return 1
    [[ $status == True && $renewed > $(<"$CLUSTER_STATE/nodes/$1/started") ]]
}

node_wait_ready() {
    wait_until 90 "$1 is not Ready; see $LOGS/$1.log and $CLUSTER_STATE/nodes/$1/log" node_ready "$1"
    say "$1 is Ready"
}

# Waits until every kubelet that runs has renewed its lease since the API server is back.
nodes_renewed() {
    local name since
    since=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    for name in $(nodes_list); do
        process_id "$name" >/dev/null || continue
        wait_until 60 "$name does not renew its lease; see $CLUSTER_STATE/nodes/$name/log" node_renewed "$name" "$since"
    done
}

node_renewed() {
    local renewed
    renewed=$(kubectl get lease -n kube-node-lease "$1" -o 'jsonpath={.spec.renewTime}' 2>/dev/null) || return 1
    [[ $renewed > $2 ]]
}

# kube-proxy asks an API server that was away later and later; one that is started anew asks at once.
nodes_proxies_anew() {
    local name
    for name in $(nodes_list); do
        process_id "$name" >/dev/null || continue
        # shellcheck disable=SC2016 # expanded on the node
        (node_exec "$name" sh -c 'kill $(pidof kube-proxy)') || die "$name has no kube-proxy to start anew"
    done
}

node_exec() {
    local name=$1 process
    shift
    process=$(process_id "$name") || die "$name does not run"
    (($#)) || set -- bash
    exec nsenter -t "$process" --mount --net --uts --ipc --pid="/proc/$process/ns/pid_for_children" "$@"
}

folders_create() {
    local folder
    for folder in "${NODE_FOLDERS[@]}"; do
        [[ -d $folder ]] && continue
        mkdir -p "$folder"
        echo "$folder" >>"$CLUSTER_STATE/made-folders"
    done
}

folders_remove() {
    local folder
    [[ -e $CLUSTER_STATE/made-folders ]] || return 0
    while read -r folder; do rmdir "$folder" 2>/dev/null || true; done <"$CLUSTER_STATE/made-folders"
}
