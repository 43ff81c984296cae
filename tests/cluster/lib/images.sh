# shellcheck shell=bash
# Builds images from Dockerfiles with buildah and pushes them to the local registry, or to IMAGE_REGISTRY.
# An image is built again only when the hash of its inputs changes. Storage and stamps stay in the cache.

readonly BASE_IMAGE=docker.io/library/debian:bookworm-slim
# The tags that the sources of Kubernetes v1.35.4 give: build/pause/Makefile and test/images/agnhost/VERSION.
readonly PAUSE_IMAGE=registry.k8s.io/pause:3.10.1
readonly AGNHOST_IMAGE=registry.k8s.io/e2e-test-images/agnhost:2.59
COREDNS_IMAGE=registry.k8s.io/coredns/coredns:$(module_version coredns github.com/coredns/coredns)
readonly COREDNS_IMAGE
LOCAL_PATH_IMAGE=docker.io/rancher/local-path-provisioner:$(module_version storage github.com/rancher/local-path-provisioner)
readonly LOCAL_PATH_IMAGE
readonly HAPROXY_VERSION=2.6.12
readonly STAMPS=$FAIRWAY_CACHE/images
readonly BUILDAH_RUN=/run/fairway-buildah
readonly CHECKOUT=$here/../..

# chroot isolation: containers proper would need a network and control groups of their own just to run apt-get.
images_buildah() {
    BUILDAH_ISOLATION=chroot STORAGE_DRIVER=overlay \
        nice buildah --root "$FAIRWAY_CACHE/buildah" --runroot "$BUILDAH_RUN" "$@" 9>&-
}

images_down() {
    # buildah leaves its storage folder mounted on itself.
    umount "$FAIRWAY_CACHE/buildah/overlay" 2>/dev/null || true
    rm -rf --one-file-system "$BUILDAH_RUN"
}

# The images that the cluster itself and its tests need.
images_build_cluster() {
    local kubernetes coredns storage
    kubernetes=$(binaries_folder kubernetes) coredns=$(binaries_folder coredns) storage=$(binaries_folder storage)
    image_ensure "$BASE_IMAGE" "bookworm $(cat "$here"/images/debian/*)" image_context_base
    image_ensure "$PAUSE_IMAGE" "$kubernetes $(cat "$here"/images/pause/*)" image_context_pause
    image_ensure "$COREDNS_IMAGE" "$coredns $(cat "$here"/images/coredns/*)" image_context_program coredns "$coredns/coredns"
    image_ensure "$AGNHOST_IMAGE" "$kubernetes $(cat "$here"/images/agnhost/*)" \
        image_context_program agnhost "$kubernetes/agnhost"
    image_ensure "$LOCAL_PATH_IMAGE" "$storage $(cat "$here"/images/local-path-provisioner/*)" \
        image_context_program local-path-provisioner "$storage/local-path-provisioner"
}

# Prints where the static program is.
product_binary() {
    local binary=${FAIRWAY_BINARY:-$CHECKOUT/target/x86_64-unknown-linux-gnu/release/fairway}
    [[ -x $binary ]] || die "there is no binary $binary; build it (make binary) or name one with FAIRWAY_BINARY"
    echo "$binary"
}

images_build_product() {
    local version=${VERSION:-0.0.0} binary fairway haproxy
    binary=$(product_binary)
    ! readelf -l "$binary" 2>/dev/null | grep -q INTERP ||
        die "$binary is not static, and its image holds no libraries; build it with make binary"
    fairway=quay.io/fairway/fairway:$version haproxy=quay.io/fairway/haproxy:$HAPROXY_VERSION
    image_build "$BASE_IMAGE" "bookworm $(cat "$here"/images/debian/*)" image_context_base
    image_build "$fairway" "$version $(sha256sum <"$binary") $(cat "$CHECKOUT/Dockerfile")" image_context_fairway "$binary" \
        --build-arg BINARY=fairway --build-arg VERSION="$version"
    image_build "$haproxy" "$(cat "$CHECKOUT/config/images/haproxy/Dockerfile")" image_context_haproxy
    local digests=${IMAGE_DIGESTS:-$STAMPS/digests}
    : >"$digests.new"
    image_publish "$fairway" "fairway:$version" >>"$digests.new"
    image_publish "$haproxy" "haproxy:$HAPROXY_VERSION" >>"$digests.new"
    mv "$digests.new" "$digests"
    say "image names and digests are in $digests:"
    cat "$digests"
}

image_ensure() {
    image_build "$@"
    image_push_local "$1"
}

image_stamp() { echo "$STAMPS/${1//[\/:]/_}"; }

# image_build REFERENCE INPUTS CONTEXT_FUNCTION [ARGUMENT...] [--build-arg ...]: CONTEXT_FUNCTION fills a folder,
# Dockerfile included, from its arguments.
image_build() {
    local reference=$1 key stamp context function=$3 arguments=() old
    key=$(sha256sum <<<"$2" | cut -c1-16)
    stamp=$(image_stamp "$reference")
    shift 3
    mkdir -p "$STAMPS"
    old=$(images_buildah images --quiet "$reference" 2>/dev/null || true)
    [[ $(cat "$stamp.inputs" 2>/dev/null) != "$key" || -z $old ]] || return 0
    say "building image $reference"
    while (($#)) && [[ $1 != --* ]]; do arguments+=("$1") && shift; done
    context=$(mktemp -d "$FAIRWAY_CACHE/context.XXXXXX")
    "$function" "$context" "${arguments[@]}"
    images_buildah build --pull-never --network host --layers --quiet "$@" --tag "$reference" "$context" \
        >"$stamp.log" 2>&1 || { tail -n 20 "$stamp.log" >&2 && rm -rf "$context" && die "building $reference failed; see $stamp.log"; }
    rm -rf "$context" "$stamp.digest"
    # Other inputs may lead to the same image.
    [[ -z $old || $old == "$(images_buildah images --quiet "$reference")" ]] || images_buildah rmi "$old" &>/dev/null || true
    echo "$key" >"$stamp.inputs"
}

# Pushes to the local registry what that does not serve already; leaves the digest beside the stamp.
image_push_local() {
    local stamp
    stamp=$(image_stamp "$1")
    if [[ -s $stamp.digest && $(registry_digest "$1") == "$(<"$stamp.digest")" ]]; then return; fi
    images_buildah push --quiet --tls-verify=false --digestfile "$stamp.digest" "$1" "docker://$REGISTRY/$1" >&2 ||
        die "pushing $1 to the local registry failed; see $LOGS/registry.log"
}

# image_publish REFERENCE NAME:TAG: to the local registry under its public name, or to IMAGE_REGISTRY under NAME:TAG.
# Prints "reference reference-by-digest".
image_publish() {
    local reference=$1 target verify=true digest
    if [[ -z ${IMAGE_REGISTRY:-} ]]; then
        image_push_local "$reference"
        digest=$(<"$(image_stamp "$reference").digest")
        echo "$reference ${reference%:*}@$digest"
        return
    fi
    target=${IMAGE_REGISTRY%/}/$2
    [[ ${IMAGE_REGISTRY_INSECURE:-} != 1 ]] || verify=false
    digest=$(mktemp)
    images_buildah push --quiet --tls-verify="$verify" --digestfile "$digest" "$reference" "docker://$target" >&2 ||
        die "pushing $target failed; log in first (buildah login), or set IMAGE_REGISTRY_INSECURE=1 for plain HTTP"
    echo "$target ${target%:*}@$(<"$digest")"
    rm -f "$digest"
}

# Debian's slim base, so that Dockerfiles read as they would anywhere else.
image_context_base() {
    cp "$here/images/debian/Dockerfile" "$1/"
    with_progress "making Debian's base" mmdebstrap --quiet --variant=minbase --include=ca-certificates --dpkgopt='path-exclude=/usr/share/doc/*' \
        --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
        bookworm "$1/base.tar" >&2 9>&- || die "mmdebstrap failed; check that apt-get update works on this machine"
}

# The real pause program: its source comes with the module of Kubernetes.
image_context_pause() {
    local source
    source=$(cd "$TOOLS/kubernetes" && GOFLAGS='' GOWORK=off go list -m -f '{{.Dir}}' k8s.io/kubernetes)
    [[ -n $source ]] || source=$(cd "$TOOLS/kubernetes" && GOFLAGS='' GOWORK=off go mod download -json k8s.io/kubernetes | jq -r .Dir)
    cp "$here/images/pause/Dockerfile" "$1/"
    gcc -Os -static -DVERSION=v3.10.1 -o "$1/pause" "$source/build/pause/linux/pause.c"
    strip "$1/pause"
}

image_context_program() {
    cp "$here/images/$2/Dockerfile" "$1/"
    cp "$3" "$1/$2"
}

image_context_fairway() {
    cp "$CHECKOUT/Dockerfile" "$1/"
    cp "$2" "$1/fairway"
}

image_context_haproxy() { cp "$CHECKOUT/config/images/haproxy/Dockerfile" "$1/"; }
