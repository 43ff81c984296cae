# shellcheck shell=bash
# Builds the cluster's programs from Go modules, one folder tools/GROUP a group of tools with pinned versions.
# Results stay in the cache under a hash of what they depend on, so that any checkout reuses them.

# Everything that changes what `go build` makes of a group.
binaries_flags() {
    local flags="-s -w" version
    if [[ $1 == kubernetes ]]; then
        version=$(kubernetes_version)
        local package=k8s.io/component-base/version minor=${version#v1.}
        flags+=" -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=${minor%%.*}"
    fi
    echo "$flags"
}

# opm reads images with libraries that would else want C headers.
binaries_tags() { [[ $1 != olm ]] || echo containers_image_openpgp,exclude_graphdriver_btrfs,json1; }

binaries_folder() {
    local key
    key=$({ cat "$TOOLS/$1/go.mod" "$TOOLS/$1/go.sum" && find "$TOOLS/$1" -name '*.go' -print0 | sort -z | xargs -0r cat && binaries_flags "$1" && binaries_tags "$1"; } | sha256sum | cut -c1-12)
    echo "$FAIRWAY_CACHE/bin/$1-$key"
}

# binaries_build GROUP...: makes what the cache does not hold. Safe to run side by side.
binaries_build() {
    local group missing=0
    for group in "$@"; do [[ -d $(binaries_folder "$group") ]] || missing=1; done
    ((missing)) || return 0
    command -v go >/dev/null || die "Go 1.25 or newer is needed to build the cluster: https://go.dev/doc/install"
    mkdir -p "$FAIRWAY_CACHE/bin"
    (
        flock 8
        for group in "$@"; do binaries_build_group "$group"; done
    ) 8>"$FAIRWAY_CACHE/bin/.lock"
}

binaries_build_group() {
    local group=$1 folder
    folder=$(binaries_folder "$group")
    [[ ! -d $folder ]] || return 0
    say "building $group from source (all groups together take about 6 minutes)"
    rm -rf "$folder.new"
    mkdir -p "$folder.new"
    # Without -buildvcs=false the build fails inside a checkout that has no stamp for these modules.
    with_progress "building $group" binaries_go "$group" "$folder.new/" ||
        die "building $group failed; if modules could not be fetched, check GOPROXY and try again"
    # Go names a program by its import path, and etcd's ends in server/v3.
    [[ ! -e $folder.new/server ]] || mv "$folder.new/server" "$folder.new/etcd"
    mv "$folder.new" "$folder"
    say "built $group: $(cd "$folder" && echo ./* | sed 's#\./##g')"
}

# `tool` stands for every tool that the group's go.mod lists.
binaries_go() {
    # Without -buildvcs=false the build fails inside a checkout that has no stamp for these modules.
    (cd "$TOOLS/$1" && CGO_ENABLED=0 GOWORK=off GOFLAGS='' nice go build -buildvcs=false -trimpath \
        -tags "$(binaries_tags "$1")" -ldflags "$(binaries_flags "$1")" -o "$2" tool 8>&- 9>&-)
}
