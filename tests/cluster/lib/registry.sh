# shellcheck shell=bash
# The image registry that stands in for all public ones, on the bridge's address. An image that manifests call
# quay.io/fairway/fairway lies here as /quay.io/fairway/fairway. Images stay in the cache when the cluster goes.

registry_up() {
    mkdir -p "$FAIRWAY_CACHE/registry"
    cat >"$CLUSTER_STATE/registry.yaml" <<YAML
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: $FAIRWAY_CACHE/registry}
  delete: {enabled: true}
http: {addr: "$REGISTRY"}
YAML
    process_ensure registry docker-registry serve "$CLUSTER_STATE/registry.yaml"
    wait_until 20 "the registry does not answer at $REGISTRY; see $LOGS/registry.log" \
        curl -fs --noproxy '*' -o /dev/null "http://$REGISTRY/v2/"
}

registry_down() { process_stop registry; }

# Prints the digest that the local registry serves for a public image name, or nothing.
registry_digest() {
    local repository=${1%:*} tag=${1##*:}
    curl -fsI --noproxy '*' -H 'Accept: application/vnd.oci.image.manifest.v1+json' \
        "http://$REGISTRY/v2/$repository/manifests/$tag" 2>/dev/null |
        tr -d '\r' | sed -n 's/^[Dd]ocker-[Cc]ontent-[Dd]igest: //p'
}

# Writes the mirror settings of a node's containerd.
registry_mirrors() {
    local folder=$1 name
    for name in docker.io quay.io registry.k8s.io ghcr.io gcr.io; do
        mkdir -p "$folder/$name"
        # The path names the public registry, so that equal names from two registries stay apart.
        cat >"$folder/$name/hosts.toml" <<TOML
server = "http://$REGISTRY/v2/$name"
override_path = true

[host."http://$REGISTRY/v2/$name"]
  capabilities = ["pull", "resolve"]
  override_path = true
TOML
    done
    # Containerd speaks TLS to anything but localhost unless told so.
    mkdir -p "$folder/$REGISTRY" "$folder/_default"
    cat >"$folder/$REGISTRY/hosts.toml" <<TOML
server = "http://$REGISTRY"

[host."http://$REGISTRY"]
  capabilities = ["pull", "resolve"]
TOML
    cp "$folder/$REGISTRY/hosts.toml" "$folder/_default/hosts.toml"
}
