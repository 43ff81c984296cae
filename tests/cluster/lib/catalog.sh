# shellcheck shell=bash
# Makes a catalog of bundles: their images, the file-based catalog, and its image. Touches the folder that it is told,
# and the registry.

OPM_VERSION=$(module_version olm github.com/operator-framework/operator-registry)
readonly OPM_VERSION
readonly OPM_IMAGE=quay.io/operator-framework/opm:$OPM_VERSION

# catalog_build OUTPUT RELEASES [BUNDLE...]: a bundle is a folder, or an image that was pushed before; of other releases
# what was kept in catalog/bundles is taken. The catalog is left in OUTPUT/configs, the name of its image by digest in
# OUTPUT/image.
catalog_build() {
    local output=$1 releases=$2 binary bundle configs
    shift 2
    configs=$output/configs/fairway
    rm -rf "$output"
    mkdir -p "$configs"
    binary=$(product_binary)
    "$binary" generate catalog --releases "$releases" --output "$configs" || die "the catalog was not made"
    binaries_build olm
    image_build "$BASE_IMAGE" "bookworm $(cat "$here"/images/debian/*)" image_context_base
    image_build "$OPM_IMAGE" "$(binaries_folder olm) $(cat "$here"/images/opm/*)" image_context_opm
    for bundle in "$@"; do catalog_add "$configs" "$bundle"; done
    catalog_add_kept "$configs" "$releases"
    catalog_opm validate "$output/configs" || die "opm refuses the catalog in $output/configs"
    bundle=${*: -1}
    catalog_image "$output" "$([[ -z $bundle ]] && echo "$VERSION" || catalog_version "$bundle")"
    say "the catalog is in $output/configs, and is served by $(<"$output/image")"
}

# One bundle's image, and what the catalog says of it.
catalog_add() {
    local configs=$1 bundle=$2 version reference=$2
    version=$(catalog_version "$bundle")
    if [[ -d $bundle ]]; then
        local tagged=quay.io/fairway/bundle:$version
        image_build "$tagged" "$(find "$bundle" -type f -print0 | sort -z | xargs -0 cat)" image_context_folder "$bundle"
        reference=$(image_publish "$tagged" "bundle:$version" | cut -d ' ' -f 2)
    fi
    catalog_render "$reference" >"$configs/fairway.v$version.yaml" ||
        die "opm can't read $reference; see $configs/fairway.v$version.yaml"
}

# What catalogs said before of releases that are not made now.
catalog_add_kept() {
    local version name
    while read -r version; do
        name=fairway.v$version.yaml
        [[ ! -e $1/$name ]] || continue
        cp "$CHECKOUT/catalog/bundles/$name" "$1/" ||
            die "$2 offers $version, which is not made here and was not kept in catalog/bundles when it was published"
    done < <(grep -o '\bversion: [0-9.]*' "$2" | cut -d ' ' -f 2)
}

# The local registry serves public names below its own, and speaks plain HTTP.
catalog_render() {
    local plain=()
    if [[ -z ${IMAGE_REGISTRY:-} ]]; then
        catalog_opm render --migrate --use-http --output yaml "$REGISTRY/$1" | sed "s#$REGISTRY/##"
        return
    fi
    [[ ${IMAGE_REGISTRY_INSECURE:-} != 1 ]] || plain=(--use-http)
    catalog_opm render --migrate "${plain[@]}" --output yaml "$1"
}

catalog_image() {
    local output=$1 tagged=quay.io/fairway/catalog:$2
    image_build "$tagged" "$(cat "$CHECKOUT/catalog/Dockerfile" "$output"/configs/*/*)" image_context_catalog "$output"
    image_publish "$tagged" "catalog:$2" | cut -d ' ' -f 2 >"$output/image"
}

# The version of a bundle's folder or image.
catalog_version() {
    if [[ -d $1 ]]; then
        sed -n 's/^  name: fairway\.v//p' "$1/manifests/fairway.clusterserviceversion.yaml"
    else
        local name=${1%@*}
        echo "${name##*:}"
    fi
}

# opm warns of a format that is not used here.
catalog_opm() { "$(binaries_folder olm)/opm" "$@" 2> >(grep -v -e level=warning -e DEPRECATION >&2); }

image_context_opm() {
    local programs
    programs=$(binaries_folder olm)
    cp "$here/images/opm/Dockerfile" "$programs/opm" "$1/"
    cp "$programs/grpc-health-probe" "$1/grpc_health_probe"
}

image_context_folder() { cp -r "$2"/* "$1/"; }

image_context_catalog() {
    cp "$CHECKOUT/catalog/Dockerfile" "$1/"
    cp -r "$2/configs" "$1/"
}
