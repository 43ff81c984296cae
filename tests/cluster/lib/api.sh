# shellcheck shell=bash
# The API tier: etcd and kube-apiserver alone, for tests of what the API server decides. Several run side by side,
# each with data, logs, records and kubeconfig in a folder of its own. No root needed, no lock taken.

api_up() {
    local folder attempt
    mkdir -p "$1"
    folder=$(cd "$1" && pwd)
    packages_install "${API_PACKAGES[@]}"
    binaries_build kubernetes etcd
    api_records "$folder"
    touch "$folder/.fairway-api"
    mkdir -p "$folder/certificates"
    chmod 700 "$folder"
    certificates_api_server "$folder/certificates" "IP:127.0.0.1,DNS:localhost"
    for attempt in 1 2 3; do
        # Ports that were free a moment ago may be taken by a neighbour that starts now: then choose again.
        [[ -s $folder/ports && $attempt == 1 ]] || api_ports >"$folder/ports"
        if api_start "$folder"; then
            say "the API server answers; KUBECONFIG=$folder/kubeconfig"
            return
        fi
        process_stop kube-apiserver
        process_stop etcd
    done
    die "the API server did not start; see $folder/logs"
}

api_start() {
    local folder=$1 etcd_port peer_port port flags programs etcd
    read -r etcd_port peer_port port <"$folder/ports"
    programs=$(binaries_folder kubernetes)
    etcd=$(binaries_folder etcd)/etcd
    mapfile -t flags < <(etcd_flags "$folder/etcd" "$etcd_port" "$peer_port")
    process_ensure etcd "$etcd" "${flags[@]}"
    mapfile -t flags < <(api_server_flags "$folder/certificates" "$etcd_port" "$port")
    # No controller makes ServiceAccounts here, so no pod may be asked to have one.
    process_ensure kube-apiserver "$programs/kube-apiserver" "${flags[@]}" --bind-address=127.0.0.1 \
        --advertise-address=127.0.0.1 --endpoint-reconciler-type=none --authorization-mode=RBAC \
        --disable-admission-plugins=ServiceAccount --shutdown-watch-termination-grace-period=0s
    kubeconfig "$folder/certificates" admin "https://127.0.0.1:$port" "$folder/kubeconfig"
    local deadline=$((SECONDS + 60))
    until api_server_ready "$folder/certificates" "127.0.0.1:$port"; do
        ((SECONDS < deadline)) || return 1
        if process_gone etcd || process_gone kube-apiserver; then return 1; fi
        sleep 0.1
    done
}

# api_simulate FOLDER: beside an API server of the folder, what makes pods of Deployments and Jobs, and kwok, which says of
# each that it runs, though nothing does, on nodes that are as imaginary. Of the controllers only those that pods need.
api_simulate() {
    [[ -e $1/.fairway-api ]] || die "$1 holds no API server of ours"
    local folder programs kubeconfig
    folder=$(cd "$1" && pwd)
    kubeconfig=$folder/kubeconfig
    api_records "$folder"
    binaries_build kubernetes kwok
    programs=$(binaries_folder kubernetes)
    # No limits of their own: a fleet is made at once.
    process_ensure kube-controller-manager "$programs/kube-controller-manager" --kubeconfig="$kubeconfig" \
        --controllers=deployment-controller,replicaset-controller,statefulset-controller,job-controller \
        --concurrent-deployment-syncs=20 --concurrent-replicaset-syncs=20 --concurrent-job-syncs=20 \
        --kube-api-qps=5000 --kube-api-burst=5000 --secure-port=0 --leader-elect=false --profiling=false
    process_ensure kube-scheduler "$programs/kube-scheduler" --kubeconfig="$kubeconfig" \
        --kube-api-qps=5000 --kube-api-burst=5000 --secure-port=0 --leader-elect=false --profiling=false
    process_ensure kwok "$(binaries_folder kwok)/kwok" --kubeconfig="$kubeconfig" --manage-all-nodes=true \
        --node-lease-duration-seconds=0 --node-ip=127.0.0.1 --cidr=10.0.0.0/9
    api_nodes 10 | "$programs/kubectl" --kubeconfig "$kubeconfig" apply --server-side -f - >&2
    # New nodes have one that a controller takes away, which is not there.
    "$programs/kubectl" --kubeconfig "$kubeconfig" taint nodes --all node.kubernetes.io/not-ready- >&2
    say "controllers, scheduler and kwok run"
}

api_nodes() {
    local number
    for ((number = 0; number < $1; number++)); do
        printf '%s\n' --- 'apiVersion: v1' 'kind: Node' "metadata: {name: simulated-$number}"
    done
}

api_down() {
    [[ -e $1/.fairway-api ]] || die "$1 holds no API server of ours; nothing was touched"
    local folder
    folder=$(cd "$1" && pwd)
    api_records "$folder"
    # Nothing of it is to be kept: no need to wait for an orderly end.
    local name
    for name in kwok kube-scheduler kube-controller-manager; do process_stop "$name" KILL; done
    process_stop kube-apiserver KILL
    process_stop etcd KILL
    rm -rf --one-file-system "$folder"
}

# Records and logs go to the folder, and processes stay in the caller's control group: they end with a build job.
api_records() {
    RUN=$1/run LOGS=$1/logs PROCESS_GROUP=
}

# Three free ports below those that the kernel hands out itself.
api_ports() {
    local ports=() port
    while ((${#ports[@]} < 3)); do
        port=$((20000 + (RANDOM * 32768 + RANDOM) % 12000))
        [[ -z $(ss -Htln "sport = :$port") && " ${ports[*]} " != *" $port "* ]] || continue
        ports+=("$port")
    done
    echo "${ports[*]}"
}
