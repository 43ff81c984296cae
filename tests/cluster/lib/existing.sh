# shellcheck shell=bash
# CLUSTER=existing: the user's own cluster. Only asks whether it answers; changes nothing.

existing() {
    case ${CLUSTER:-} in
    existing) return 0 ;;
    "" | local) return 1 ;;
    *) die "CLUSTER is '$CLUSTER'; it may be 'existing' (with KUBECONFIG), or unset for a cluster of our own" ;;
    esac
}

existing_up() {
    local kubectl answer file=${KUBECONFIG:-$HOME/.kube/config}
    kubectl=$(type -P kubectl || echo "$(binaries_folder kubernetes)/kubectl")
    [[ -x $kubectl ]] || die "no kubectl: install it, or run 'cluster up' once without CLUSTER=existing to build it"
    [[ -s ${file%%:*} ]] || die "CLUSTER=existing needs KUBECONFIG; there is no file '${file%%:*}'"
    answer=$(KUBECONFIG=$file "$kubectl" get nodes --request-timeout=10s 2>&1) ||
        die "the cluster of $file does not answer: $(tail -n 1 <<<"$answer"); check the file, its context and your rights"
    grep -q ' Ready' <<<"$answer" || die "the cluster of $file has no Ready node: $answer"
    say "the cluster of $file answers"
    printf '%s\n' "$answer" >&2
}
