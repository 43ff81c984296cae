# shellcheck shell=bash
# The images that Harbor is tested on: PostgreSQL, Redis, an S3 server, the registry and the portal, the stand-in for
# Harbor's own programs, and a client. What they promise stands in tests/harbor/README.md.

readonly HARBOR_FOLDER=$CHECKOUT/tests/harbor
# Two versions of one program, so that upgrades can be tried.
readonly HARBOR_VERSIONS=(v2.14.3 v2.15.2)
readonly POSTGRES_IMAGE=docker.io/library/postgres:15 REDIS_IMAGE=docker.io/library/redis:7
S3_IMAGE=docker.io/versity/versitygw:$(module_version s3 github.com/versity/versitygw)
readonly S3_IMAGE
readonly SKOPEO_IMAGE=quay.io/skopeo/stable:v1.9.3

harbor_images() {
    local stand_in version list=$STAMPS/harbor-digests
    stand_in=$(harbor_stand_in)
    binaries_build s3 distribution
    mkdir -p "$STAMPS"
    : >"$list.new"
    image_build "$BASE_IMAGE" "bookworm $(cat "$here"/images/debian/*)" image_context_base
    harbor_image "$POSTGRES_IMAGE" postgres "" image_context_files postgres
    harbor_image "$REDIS_IMAGE" redis "" image_context_files redis
    harbor_image "$SKOPEO_IMAGE" skopeo "" image_context_files skopeo
    harbor_image "$S3_IMAGE" s3 "$(binaries_folder s3)" image_context_files s3 "$(binaries_folder s3)/versitygw"
    for version in "${HARBOR_VERSIONS[@]}"; do harbor_version_images "$version" "$stand_in"; done
    mv "$list.new" "$list"
    say "the images that Harbor is tested on are in the registry; their digests are in $list"
}

harbor_version_images() {
    local version=$1 stand_in=$2 programs component name program inputs
    programs=$(binaries_folder distribution)
    harbor_image "docker.io/goharbor/registry-photon:$version" registry "$programs $(<"$HARBOR_FOLDER/images/entrypoint.sh")" \
        image_context_files registry "$programs/distribution" "$HARBOR_FOLDER/images/entrypoint.sh" --build-arg VERSION="$version"
    harbor_image "docker.io/goharbor/harbor-portal:$version" portal "" image_context_files portal --build-arg VERSION="$version"
    inputs="$(sha256sum <"$stand_in") $(<"$HARBOR_FOLDER/images/entrypoint.sh")"
    while read -r component name program; do
        harbor_image "docker.io/goharbor/$name:$version" stand-in "$component $inputs" \
            image_context_stand_in "$stand_in" "$program" --target "$component" --build-arg VERSION="$version"
    done <<'COMPONENTS'
core harbor-core harbor_core
jobservice harbor-jobservice harbor_jobservice
registryctl harbor-registryctl harbor_registryctl
exporter harbor-exporter harbor_exporter
trivy trivy-adapter-photon scanner-trivy
COMPONENTS
}

# harbor_image REFERENCE FOLDER MORE_INPUTS CONTEXT_FUNCTION [ARGUMENT...] [--OPTION...]
harbor_image() {
    local reference=$1 folder=$2 more=$3 name
    shift 3
    image_build "$reference" "$reference $more $(cat "$HARBOR_FOLDER/images/$folder"/*)" "$@"
    # `</dev/null`: the caller may read its list from standard input.
    name=${reference##*/}
    image_publish "$reference" "$name" </dev/null >>"$STAMPS/harbor-digests.new"
}

# image_context_files CONTEXT FOLDER [FILE...]
image_context_files() {
    local context=$1
    cp "$HARBOR_FOLDER/images/$2"/* "$context/"
    shift 2
    (($# == 0)) || cp "$@" "$context/"
}

image_context_stand_in() {
    cp "$HARBOR_FOLDER/images/stand-in/Dockerfile" "$HARBOR_FOLDER/images/entrypoint.sh" "$1/"
    # Other targets' programs are not there, and not asked for.
    cp "$2" "$1/$3"
}

# Prints where the static stand-in is.
harbor_stand_in() {
    local binary=${HARBOR_STAND_IN:-$CHECKOUT/target/x86_64-unknown-linux-gnu/release/harbor-stand-in}
    [[ -x $binary ]] || die "there is no binary $binary; build it (make harbor-images)"
    echo "$binary"
}
