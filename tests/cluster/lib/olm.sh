# shellcheck shell=bash
# The Operator Lifecycle Manager in the running cluster. Touches its CRDs, the namespaces olm and operators, and what
# it has made itself.

OLM_VERSION=$(module_version olm github.com/operator-framework/operator-lifecycle-manager)
readonly OLM_VERSION
readonly OLM_IMAGE=quay.io/operator-framework/olm:$OLM_VERSION
readonly OLM_GROUP=operators.coreos.com

olm_up() {
    binaries_build olm
    image_ensure "$OLM_IMAGE" "$(binaries_folder olm) $(cat "$here"/images/olm/*)" image_context_olm
    kubectl apply --server-side --force-conflicts -f "$(olm_source)/deploy/chart/crds" >/dev/null
    # shellcheck disable=SC2046 # words
    kubectl wait --for=condition=Established --timeout=30s $(olm_definitions) >/dev/null
    sed -e "s#@OLM_IMAGE@#$OLM_IMAGE#" -e "s#@OLM_VERSION@#${OLM_VERSION#v}#" "$here/manifests/olm.yaml" |
        kubectl apply --server-side --force-conflicts -f - >/dev/null
    local deployment
    for deployment in olm-operator catalog-operator; do
        kubectl rollout status -n olm "deployment/$deployment" --timeout=90s >/dev/null ||
            die "$deployment does not start; see: kubectl -n olm describe pods"
    done
    kubectl wait -n olm --for=jsonpath='{.status.phase}'=Succeeded --timeout=90s "csv/packageserver" >/dev/null ||
        die "packageserver does not start; see: kubectl -n olm describe csv packageserver"
    kubectl wait --for=condition=Available --timeout=60s "apiservice/v1.packages.$OLM_GROUP" >/dev/null
    say "OLM $OLM_VERSION serves"
}

# First what it has installed, while it still runs: only it takes its finalizers off. Custom resources of what was
# installed stay, and so do their CRDs.
olm_down() {
    local names
    names=$(olm_definitions)
    if [[ -n $names ]]; then
        olm_delete subscriptions catalogsources clusterserviceversions installplans operatorgroups
        # What OLM makes outside of namespaces has no owner.
        kubectl delete clusterroles,clusterrolebindings -l olm.managed=true --ignore-not-found >/dev/null
        kubectl delete --ignore-not-found --timeout=60s namespace olm operators >/dev/null
        kubectl delete --ignore-not-found --timeout=30s clusterrolebinding/olm-operator-binding-olm \
            "apiservice/v1.packages.$OLM_GROUP" >/dev/null
        # shellcheck disable=SC2086 # words
        kubectl delete --ignore-not-found --timeout=60s $names >/dev/null
    fi
    say "OLM is gone"
}

olm_delete() {
    local kind
    for kind in "$@"; do
        kubectl delete "$kind.$OLM_GROUP" --all --all-namespaces --timeout=60s >/dev/null
    done
}

# The CRDs that the cluster has of it.
olm_definitions() { kubectl get crd -o name | grep "\.$OLM_GROUP$" || true; }

# Where its module lies.
olm_source() {
    local module=github.com/operator-framework/operator-lifecycle-manager folder
    folder=$(cd "$TOOLS/olm" && GOFLAGS='' GOWORK=off go list -m -f '{{.Dir}}' "$module")
    [[ -n $folder ]] || folder=$(cd "$TOOLS/olm" && GOFLAGS='' GOWORK=off go mod download -json "$module" | jq -r .Dir)
    echo "$folder"
}

image_context_olm() {
    local programs
    programs=$(binaries_folder olm)
    cp "$here/images/olm/Dockerfile" "$programs"/* "$1/"
    mv "$1/grpc-health-probe" "$1/grpc_health_probe"
}
