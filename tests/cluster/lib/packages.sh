# shellcheck shell=bash
# Installs the Debian packages that the cluster needs, if any is missing. Touches the machine's package database.

readonly API_PACKAGES=(curl iproute2 openssl util-linux)
# Containerd 1.6 of Debian 12 has Kubernetes 1.35 as the last release that fits.
readonly CLUSTER_PACKAGES=("${API_PACKAGES[@]}" binutils buildah ca-certificates conntrack containerd
    containernetworking-plugins docker-registry ethtool gcc iptables jq libc6-dev mmdebstrap nftables runc socat)

packages_install() {
    local missing=() package
    for package in "$@"; do
        [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
    done
    ((${#missing[@]})) || return 0
    ((EUID == 0)) || die "packages are missing; as root: apt-get install --no-install-recommends ${missing[*]}"
    say "installing Debian packages: ${missing[*]}"
    # RUNLEVEL=1 keeps the packages' own services from starting: the cluster runs its own, in its own namespaces.
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -y -q --no-install-recommends \
        -o DPkg::Lock::Timeout=300 "${missing[@]}" >&2 9>&- || die "apt-get failed; run 'apt-get update' and try again"
}
