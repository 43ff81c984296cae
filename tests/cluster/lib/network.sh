# shellcheck shell=bash
# The machine's side of the cluster's network: one bridge, one virtual cable a node, routes to pods and services.
# Touches links and routes of the cluster's own addresses only. Sets no default route for nodes and adds no
# firewall rule to the machine: what runs in the cluster reaches nothing beyond it.

network_up() {
    if ! ip link show "$BRIDGE" &>/dev/null; then
        [[ -z $(ip -4 route show "$NODE_PREFIX.0/24") && -z $(ip -4 route show "$SERVICE_RANGE") ]] ||
            die "this machine routes $NODE_PREFIX.0/24 or $SERVICE_RANGE elsewhere already; free these addresses"
        ip link add "$BRIDGE" type bridge
    fi
    ip address replace "$HOST_ADDRESS/24" dev "$BRIDGE"
    ip link set "$BRIDGE" up
}

network_down() {
    local name
    for name in $(ip -o link show type veth 2>/dev/null | sed -n 's/^[0-9]*: \(fw-[^@:]*\).*/\1/p'); do
        ip link delete "$name" 2>/dev/null || true
    done
    ip link show "$BRIDGE" &>/dev/null || return 0
    ip link delete "$BRIDGE"
}

node_address() { echo "$NODE_PREFIX.$((10 + ${1#node-}))"; }
node_pod_range() { echo "$POD_PREFIX.${1#node-}.0/24"; }

# Joins a node's network namespace to the bridge and sets its addresses and routes. May run again at any time.
network_node_up() {
    local name=$1 process=$2 address
    address=$(node_address "$name")
    if ! nsenter -t "$process" --net ip link show eth0 &>/dev/null; then
        ip link delete "fw-$name" 2>/dev/null || true
        ip link add "fw-$name" type veth peer name eth0 netns "$process"
    fi
    ip link set "fw-$name" master "$BRIDGE" up
    # `nsenter --net` and not `ip netns exec`: the latter mounts another /sys, and the kubelet finds no control groups.
    nsenter -t "$process" --net bash -euc '
        ip link set lo up
        ip address replace "$1/24" dev eth0
        ip link set eth0 up
        # Programs on the node itself need a route before the address of a Service is translated.
        ip route replace "$2" dev eth0
        sysctl -qw net.ipv4.ip_forward=1
    ' node "$address" "$SERVICE_RANGE"
}

# Tells every running node, and the machine, the way to every node's pods.
network_routes() {
    local name peer process
    for name in $(nodes_list); do
        process=$(process_id "$name") || continue
        ip route replace "$(node_pod_range "$name")" via "$(node_address "$name")" dev "$BRIDGE"
        for peer in $(nodes_list); do
            [[ $peer != "$name" ]] || continue
            nsenter -t "$process" --net ip route replace "$(node_pod_range "$peer")" via "$(node_address "$peer")"
        done
    done
    network_service_route
}

# The machine's way to Services leads through the first node that runs.
network_service_route() {
    local name
    for name in $(nodes_list); do
        if process_id "$name" >/dev/null && [[ -e /sys/class/net/fw-$name ]]; then
            ip route replace "$SERVICE_RANGE" via "$(node_address "$name")" dev "$BRIDGE"
            return
        fi
    done
}
