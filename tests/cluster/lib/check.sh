# shellcheck shell=bash
# Tries the running cluster as its users will. Touches one namespace of its own and, when asked, loses one node.

readonly CHECK_NAMESPACE=fairway-cluster-check

check_kubectl() { kubectl -n "$CHECK_NAMESPACE" "$@"; }

# check WHAT COMMAND...: allows 20 s, since Services and names take a moment to spread.
check() {
    local what=$1
    shift
    wait_until 20 "$what" check_quiet "$@"
    say "ok: $what"
}

check_quiet() { "$@" &>/dev/null; }

check_cluster() {
    local pod service port local_port name pods
    kubectl delete namespace "$CHECK_NAMESPACE" --ignore-not-found >/dev/null
    sed -e "s#@NAMESPACE@#$CHECK_NAMESPACE#" -e "s#@AGNHOST_IMAGE@#$AGNHOST_IMAGE#" "$here/manifests/check.yaml" |
        kubectl apply -f - >/dev/null
    check_kubectl rollout status deployment/web --timeout=90s >/dev/null || die "the sample application does not start"
    say "ok: restricted pods with a read-only root, a sysctl and memory volume run"
    pod=$(check_kubectl get pods -l app=web -o 'jsonpath={.items[0].metadata.name}')
    service=$(check_kubectl get service web -o 'jsonpath={.spec.clusterIP}')
    port=$(check_kubectl get service web -o 'jsonpath={.spec.ports[0].nodePort}')
    local_port=$(check_kubectl get service web-local -o 'jsonpath={.spec.ports[0].nodePort}')

    check "a Service answers on this machine" check_get "$service/hostname" "^web-"
    for name in $(nodes_list); do
        check "$name's node port answers" check_get "$(node_address "$name"):$port/hostname" "^web-"
    done
    name=$(check_kubectl get pod "$pod" -o 'jsonpath={.spec.nodeName}')
    check "a node port with policy Local shows the client's address" \
        check_get "$(node_address "$name"):$local_port/clientip" "^$HOST_ADDRESS:"
    pods=$(check_kubectl get pods -l app=web -o 'jsonpath={.items[*].status.podIP}')
    for name in $pods; do check "pod $name reached from a pod" check_exec "$pod" "/agnhost connect $name:80"; done
    check "a pod reaches its own Service by name" check_exec "$pod" "/agnhost connect web:80"
    check "the API server resolves and answers in a pod" check_exec "$pod" "/agnhost connect kubernetes.default.svc:443"
    check "names outside are refused at once" check_exec "$pod" "! timeout 2 getent hosts example.com"
    check "seccomp filters, no privileges" check_exec "$pod" "grep -q 'Seccomp:.*2' /proc/self/status && touch /memory/x"
    check "the root is read-only" check_exec "$pod" "! touch /x"
    check "logs are read" grep -q hostname <(check_kubectl logs -l app=web --tail=-1)
    check "a ServiceAccount gets a token" check_kubectl create token default
    check_volume
}

# A file on a volume outlives its pod. Only fsGroup lets the pod write there.
check_volume() {
    check_kubectl rollout status statefulset/keeper --timeout=60s >/dev/null || die "a pod with a volume does not start"
    check "a pod writes to its volume" check_exec keeper-0 "echo kept >/volume/file"
    check_kubectl delete pod keeper-0 >/dev/null
    check_kubectl rollout status statefulset/keeper --timeout=60s >/dev/null || die "a pod with a volume does not start again"
    check "the next pod reads it" check_exec keeper-0 "grep -qx kept /volume/file"
}

check_get() { grep -q "$2" < <(curl -fs --noproxy '*' -m 2 "http://$1"); }

check_exec() { check_kubectl exec "$1" -- bash -c "$2" >/dev/null; }

# The first node is the worst to lose: the machine's way to Services leads through it.
check_lost_node() {
    local name service
    name=$(nodes_list | head -n 1)
    (($(nodes_list | wc -l) > 1)) || die "losing a node needs two: cluster up --nodes 2"
    service=$(check_kubectl get service web -o 'jsonpath={.spec.clusterIP}')
    "$here/cluster" node stop "$name"
    wait_until 30 "$name is not seen as lost" check_not_ready "$name"
    say "ok: $name is seen as lost"
    wait_until 60 "the pods of $name are not replaced" check_moved "$name"
    say "ok: its pods run elsewhere"
    check "the Service answers without $name" check_get "$service/hostname" "^web-"
    "$here/cluster" node start "$name"
    wait_until 90 "the pod with the volume does not come back with $name" check_quiet check_kept
    say "ok: a volume is there again when its lost node is"
}

check_kept() { check_exec keeper-0 "grep -qx kept /volume/file"; }

check_not_ready() { [[ $(kubectl get node "$1" -o 'jsonpath={.status.conditions[?(@.type=="Ready")].status}') != True ]]; }

check_moved() {
    local ready
    ready=$(check_kubectl get pods -l app=web -o 'jsonpath={range .items[*]}{.spec.nodeName} {.metadata.deletionTimestamp} {.status.conditions[?(@.type=="Ready")].status}{"\n"}{end}')
    (($(grep -v "^$1 " <<<"$ready" | grep -c ' True$') >= 2))
}
