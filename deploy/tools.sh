#!/bin/sh
# Puts the iptables tools into the root of the image, from packages of Debian 12: -restore and -save of both variants and
# both families, their extensions, the libraries that they load, and nothing else. docs/install.md says when to run it.
#
#   tools.sh ROOT [ARCHITECTURE]     ROOT: usually deploy/root
#                                    ARCHITECTURE: Debian's name, amd64 or arm64; default: this machine's
#
# Needs apt-get with fresh lists of Debian 12 (apt-get update), dpkg-deb and tar; no root. apt checks the signatures.
# Another architecture than this machine's also needs `dpkg --add-architecture`. The same versions of the packages give
# the same files; var/lib/dpkg/status.d says which versions they are.
set -eu

fail() {
    echo "tools.sh: $1" >&2
    exit 1
}

if [ $# -lt 1 ] || [ $# -gt 2 ]; then fail "usage: tools.sh ROOT [ARCHITECTURE]"; fi
mkdir -p "$1"
root=$(cd "$1" && pwd)
for tool in apt-get dpkg dpkg-deb tar; do
    command -v "$tool" > /dev/null || fail "needs $tool: run it on Debian 12, or in a container of it"
done
arch=${2:-$(dpkg --print-architecture)}
release=$(. /etc/os-release && echo "$ID $VERSION_ID")
[ "$release" = "debian 12" ] || fail "needs Debian 12, and this is $release: run it in a container of debian:12"

tools="iptables"
libraries="libxtables12 libip4tc2 libip6tc2 libnftnl11 libmnl0 libnetfilter-conntrack3 libnfnetlink0"
packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT

download() {
    cd "$packages"
    set --
    for package in $tools $libraries libc6 base-files; do set -- "$@" "$package:$arch"; done
    apt-get --quiet --quiet -o APT::Sandbox::User=root download "$@" ||
        fail "the packages cannot be had: run apt-get update, and look whether the mirror answers"
}

# take PACKAGE PATTERN...: the files of a package that match, and what says where they come from.
take() {
    package=$1
    file=$(echo "$packages/${package}"_*.deb)
    shift
    dpkg-deb --fsys-tarfile "$file" | tar --extract --directory "$root" --no-same-owner --wildcards "$@"
    dpkg-deb --fsys-tarfile "$file" |
        tar --extract --directory "$root" --no-same-owner "./usr/share/doc/$package/copyright"
    mkdir -p "$root/var/lib/dpkg/status.d"
    dpkg-deb --field "$file" > "$root/var/lib/dpkg/status.d/$package"
}

umask 022
download
take iptables './usr/sbin/xtables-legacy-multi' './usr/sbin/xtables-nft-multi' \
    './usr/sbin/ip*tables-legacy-restore' './usr/sbin/ip*tables-legacy-save' \
    './usr/sbin/ip*tables-nft-restore' './usr/sbin/ip*tables-nft-save' \
    './usr/lib/*/xtables/libxt_*.so' './usr/lib/*/xtables/libipt_*.so' './usr/lib/*/xtables/libip6t_*.so'
for library in $libraries; do take "$library" './usr/lib/*/lib*.so.*'; done
# The loader's link is in lib64 or in lib, as the architecture has it.
take libc6 './lib*/ld-linux-*' './lib/*/libc.so.6' './lib/*/libm.so.6'
# Which Debian the packages are of, for scanners.
take base-files './etc/os-release' './usr/lib/os-release'
