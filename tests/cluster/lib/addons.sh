# shellcheck shell=bash
# What runs in every cluster: CoreDNS. Touches the namespace kube-system.

addons_up() {
    sed -e "s#@COREDNS_IMAGE@#$COREDNS_IMAGE#" -e "s#@DNS_ADDRESS@#$DNS_ADDRESS#" "$here/manifests/coredns.yaml" |
        kubectl apply --server-side --force-conflicts -f - >/dev/null
    kubectl rollout status -n kube-system deployment/coredns --timeout=60s >/dev/null ||
        die "CoreDNS does not start; see: kubectl get events -n kube-system"
    say "CoreDNS serves"
}
