# shellcheck shell=bash
# etcd, API server, controller manager and scheduler as processes of this machine. The API server's command line
# is shared with the API tier (api.sh). Writes to the cluster's state folder.

# api_server_flags CERTIFICATES ETCD_PORT PORT: one flag a line.
api_server_flags() {
    local folder=$1 etcd_port=$2 port=$3
    cat <<FLAGS
--etcd-servers=http://127.0.0.1:$etcd_port
--secure-port=$port
--tls-cert-file=$folder/api-server.crt
--tls-private-key-file=$folder/api-server.key
--client-ca-file=$folder/authority.crt
--service-account-issuer=https://kubernetes.default.svc.cluster.local
--service-account-key-file=$folder/service-accounts.pub
--service-account-signing-key-file=$folder/service-accounts.key
--service-cluster-ip-range=$SERVICE_RANGE
--requestheader-client-ca-file=$folder/front-proxy-authority.crt
--requestheader-allowed-names=front-proxy-client
--requestheader-username-headers=X-Remote-User
--requestheader-group-headers=X-Remote-Group
--requestheader-extra-headers-prefix=X-Remote-Extra-
--proxy-client-cert-file=$folder/front-proxy.crt
--proxy-client-key-file=$folder/front-proxy.key
--allow-privileged=true
--profiling=false
FLAGS
}

etcd_flags() {
    local data=$1 port=$2 peer_port=$3
    # Nothing here outlives a crash of the machine, and syncing to disk is half of etcd's time.
    cat <<FLAGS
--data-dir=$data
--listen-client-urls=http://127.0.0.1:$port
--advertise-client-urls=http://127.0.0.1:$port
--listen-peer-urls=http://127.0.0.1:$peer_port
--initial-advertise-peer-urls=http://127.0.0.1:$peer_port
--initial-cluster=default=http://127.0.0.1:$peer_port
--unsafe-no-fsync=true
--log-level=warn
FLAGS
}

# api_server_ready CERTIFICATES ADDRESS:PORT
api_server_ready() {
    curl -fs --noproxy '*' -m 2 -o /dev/null --cacert "$1/authority.crt" --cert "$1/admin.crt" --key "$1/admin.key" \
        "https://$2/readyz"
}

control_plane_up() {
    control_plane_api_up
    control_plane_controllers_up
}

# etcd and the API server.
control_plane_api_up() {
    local folder=$CLUSTER_STATE/certificates flags programs etcd
    programs=$(binaries_folder kubernetes)
    etcd=$(binaries_folder etcd)/etcd
    control_plane_certificates "$folder"

    mapfile -t flags < <(etcd_flags "$CLUSTER_STATE/etcd" "$ETCD_PORT" "$ETCD_PEER_PORT")
    process_ensure etcd "$etcd" "${flags[@]}"

    mapfile -t flags < <(api_server_flags "$folder" "$ETCD_PORT" "$API_PORT")
    # Bound to the bridge alone: nobody off this machine reaches it. Aggregator routing makes webhooks and aggregated
    # APIs be reached at pod addresses. Pods leave a lost node after 15 s, not after five minutes.
    process_ensure kube-apiserver "$programs/kube-apiserver" "${flags[@]}" \
        --bind-address="$HOST_ADDRESS" --advertise-address="$HOST_ADDRESS" \
        --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
        --enable-aggregator-routing=true \
        --kubelet-certificate-authority="$folder/authority.crt" \
        --kubelet-client-certificate="$folder/api-server-client.crt" \
        --kubelet-client-key="$folder/api-server-client.key" \
        --kubelet-preferred-address-types=InternalIP \
        --default-not-ready-toleration-seconds=15 --default-unreachable-toleration-seconds=15
    wait_until 60 "the API server is not ready; see $LOGS/kube-apiserver.log and etcd.log" \
        api_server_ready "$folder" "$HOST_ADDRESS:$API_PORT"
    say "the API server answers"
}

control_plane_controllers_up() {
    local folder=$CLUSTER_STATE/certificates programs
    programs=$(binaries_folder kubernetes)
    # A node that falls silent counts as lost after 12 s; the kubelets renew their leases every 2 s (node.sh).
    process_ensure kube-controller-manager "$programs/kube-controller-manager" \
        --kubeconfig="$folder/controller-manager.kubeconfig" \
        --authentication-kubeconfig="$folder/controller-manager.kubeconfig" \
        --authorization-kubeconfig="$folder/controller-manager.kubeconfig" \
        --bind-address=127.0.0.1 --leader-elect=false --use-service-account-credentials=true --profiling=false \
        --root-ca-file="$folder/authority.crt" \
        --service-account-private-key-file="$folder/service-accounts.key" \
        --cluster-signing-cert-file="$folder/authority.crt" --cluster-signing-key-file="$folder/authority.key" \
        --node-monitor-period=1s --node-monitor-grace-period=12s
    process_ensure kube-scheduler "$programs/kube-scheduler" \
        --kubeconfig="$folder/scheduler.kubeconfig" \
        --authentication-kubeconfig="$folder/scheduler.kubeconfig" \
        --authorization-kubeconfig="$folder/scheduler.kubeconfig" \
        --bind-address=127.0.0.1 --leader-elect=false --profiling=false
}

# All but etcd, as when the machine that they run on is lost.
control_plane_stop() {
    local name
    for name in kube-scheduler kube-controller-manager kube-apiserver; do process_stop "$name" KILL; done
    say "the control plane is away"
}

control_plane_down() {
    local name
    # Their data goes with them: no need to wait until open watches have ended.
    for name in kube-scheduler kube-controller-manager kube-apiserver etcd; do process_stop "$name" KILL; done
}

control_plane_certificates() {
    local folder=$1 server=https://$HOST_ADDRESS:$API_PORT
    certificates_api_server "$folder" "IP:$HOST_ADDRESS,IP:$API_SERVICE_ADDRESS,IP:127.0.0.1,DNS:localhost,DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local"
    certificate "$folder" authority controller-manager /CN=system:kube-controller-manager
    certificate "$folder" authority scheduler /CN=system:kube-scheduler
    certificate "$folder" authority proxy /CN=system:kube-proxy
    local name
    for name in controller-manager scheduler proxy; do
        kubeconfig "$folder" "$name" "$server" "$folder/$name.kubeconfig"
    done
    kubeconfig "$folder" admin "$server" "$KUBECONFIG_FILE"
}

