# Sourced by ./test, ./demo and .ci/run: installs the Debian packages that the live tests and the demo start.
# The programs are only programs to us: the system's own services are neither used nor left running because of us.

PACKAGES="ovn-central ovn-host openvswitch-switch openvswitch-common iproute2 util-linux libssl-dev pkg-config"

need_packages() {
    local missing=() package
    for package in $PACKAGES; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
    done
    # Rust links with the C compiler, which a fresh machine may lack.
    command -v cc >/dev/null || missing+=(gcc libc6-dev)
    [ ${#missing[@]} -eq 0 ] && return
    local sudo=()
    [ "$(id -u)" -eq 0 ] || sudo=(sudo)
    echo "installing: ${missing[*]}" >&2
    # A policy that refuses to start services: we start our own, in scratch folders.
    local policy=/usr/sbin/policy-rc.d made=no status=0
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | "${sudo[@]}" tee "$policy" >/dev/null
        "${sudo[@]}" chmod +x "$policy"
        made=yes
    fi
    "${sudo[@]}" apt-get update -q >&2 || true
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends "${missing[@]}" >&2 ||
        status=$?
    [ "$made" = no ] || "${sudo[@]}" rm -f "$policy"
    return "$status"
}
