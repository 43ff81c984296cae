# shellcheck shell=bash
# Installs the Debian packages that the cluster needs, if any is missing. Touches the machine's package database.

readonly PACKAGES=(containerd runc containernetworking-plugins iptables nftables iproute2 conntrack socat ethtool
    mmdebstrap buildah skopeo docker-registry ca-certificates curl gcc jq libc6-dev openssl util-linux)

packages_install() {
    local missing=() package
    # Containerd 1.6 of Debian 12 has Kubernetes 1.35 as the last release that fits.
    for package in "${PACKAGES[@]}"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    say "installing Debian packages: ${missing[*]}"
    # The packages' own services are not wanted: the cluster starts its own, each in its own namespaces.
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -q --no-install-recommends "${missing[@]}" >&2 9>&- ||
        die "apt-get failed; run 'apt-get update' and try again"
}
