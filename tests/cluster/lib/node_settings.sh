# shellcheck shell=bash
# Writes the settings of one node's containerd, CNI, kubelet and kube-proxy to its folder. Touches nothing else.

node_configure() {
    local name=$1 settings=$CLUSTER_STATE/nodes/$1/settings certificates=$CLUSTER_STATE/certificates address
    address=$(node_address "$name")
    mkdir -p "$settings"/{cni,certs.d}
    certificate "$certificates" authority "$name" "/O=system:nodes/CN=system:node:$name" "IP:$address,DNS:$name"
    kubeconfig "$certificates" "$name" "https://$HOST_ADDRESS:$API_PORT" "$settings/kubelet.kubeconfig"
    registry_mirrors "$settings/certs.d"
    echo "$address" >"$settings/address"
    # A copy, so that running nodes do not depend on the checkout that started them.
    install -m 755 "$here/lib/node-init" "$settings/node-init"
    # Pods that ask for the node's own DNS get none: there is nothing beyond the cluster to look up.
    : >"$settings/resolv.conf"
    node_configure_containerd "$settings"
    node_configure_cni "$settings" "$(node_pod_range "$name")"
    node_configure_kubelet "$settings" "$name" "$address"
    node_configure_proxy "$settings" "$name" "$address"
}

# restrict_oom_score_adj: without CAP_SYS_RESOURCE, as on many virtual machines, every pod fails otherwise with
# runc's "can't get final child's PID from pipe: EOF".
node_configure_containerd() {
    cat >"$1/containerd.toml" <<TOML
version = 2
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "$PAUSE_IMAGE"
  restrict_oom_score_adj = true
  disable_hugetlb_controller = true
  max_concurrent_downloads = 4
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "$1/cni"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "$1/certs.d"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false
TOML
}

# Routed pods (ptp) and no bridge on the node: traffic between two pods of a node then passes the node's routing,
# and a Service's address is translated back whether or not the kernel filters bridges. Leases of addresses lie on
# the node's /run, so that a lost node does not come back with them.
node_configure_cni() {
    cat >"$1/cni/10-pods.conflist" <<JSON
{"cniVersion": "0.4.0", "name": "pods", "plugins": [
  {"type": "ptp", "ipMasq": false,
   "ipam": {"type": "host-local", "ranges": [[{"subnet": "$2"}]], "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "/run/cni"}},
  {"type": "portmap", "capabilities": {"portMappings": true}}
]}
JSON
}

# The lease lasts 8 s and is renewed at a quarter of that. Control groups of version 1 are refused by default.
node_configure_kubelet() {
    local certificates=$CLUSTER_STATE/certificates
    cat >"$1/kubelet.yaml" <<YAML
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: $3
healthzBindAddress: 127.0.0.1
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: $certificates/authority.crt}
authorization: {mode: Webhook}
tlsCertFile: $certificates/$2.crt
tlsPrivateKeyFile: $certificates/$2.key
containerRuntimeEndpoint: unix:///run/containerd/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /$CONTROL_GROUP/$2
failCgroupV1: false
enforceNodeAllocatable: []
evictionHard: {memory.available: 100Mi, nodefs.available: 1%, imagefs.available: 1%, nodefs.inodesFree: 1%}
clusterDNS: [$DNS_ADDRESS]
clusterDomain: cluster.local
resolvConf: $1/resolv.conf
nodeStatusUpdateFrequency: 2s
nodeLeaseDurationSeconds: 8
maxPods: 110
serializeImagePulls: false
failSwapOn: false
enableProfilingHandler: false
YAML
}

# The machine's connection tracking limits are not the node's to set, hence the zeros.
node_configure_proxy() {
    local certificates=$CLUSTER_STATE/certificates
    cat >"$1/kube-proxy.yaml" <<YAML
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
clientConnection: {kubeconfig: $certificates/proxy.kubeconfig}
bindAddress: $3
healthzBindAddress: 127.0.0.1:10256
metricsBindAddress: 127.0.0.1:10249
mode: iptables
clusterCIDR: $POD_RANGE
detectLocalMode: ClusterCIDR
iptables: {minSyncPeriod: 0.2s, syncPeriod: 30s}
conntrack: {maxPerCore: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
YAML
}
