# shellcheck shell=bash
# What runs in every cluster: CoreDNS and the provisioner of volumes. Touches the namespaces kube-system and
# local-path-storage.

addons_up() {
    sed -e "s#@COREDNS_IMAGE@#$COREDNS_IMAGE#" -e "s#@DNS_ADDRESS@#$DNS_ADDRESS#" "$here/manifests/coredns.yaml" |
        kubectl apply --server-side --force-conflicts -f - >/dev/null
    kubectl rollout status -n kube-system deployment/coredns --timeout=60s >/dev/null ||
        die "CoreDNS does not start; see: kubectl get events -n kube-system"
    say "CoreDNS serves"
    sed -e "s#@LOCAL_PATH_IMAGE@#$LOCAL_PATH_IMAGE#" -e "s#@BASE_IMAGE@#$BASE_IMAGE#" "$here/manifests/storage.yaml" |
        kubectl apply --server-side --force-conflicts -f - >/dev/null
    kubectl rollout status -n local-path-storage deployment/local-path-provisioner --timeout=60s >/dev/null ||
        die "the provisioner of volumes does not start; see: kubectl get events -n local-path-storage"
    say "volumes are provisioned"
}
