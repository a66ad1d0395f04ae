#!/bin/sh
# Usage: provision.sh FOLDER. Makes a node out of any Debian machine: the packages of the node image, its settings, fleet, and what a virtual
# machine of ours has. FOLDER holds node/ and box/ (the fixtures), fleetd, fleetctl and images/. Run as root; a second run changes nothing.
set -eu
from=$1

words() { sed 's/#.*//' "$1"; }

[ "$(id -u)" -eq 0 ] || { echo "provision.sh needs root" >&2; exit 1; }
# shellcheck source=/dev/null
. /etc/os-release
wanted=$(cat "$from/node/suite")
[ "${VERSION_CODENAME:-}" = "$wanted" ] || echo "this is ${PRETTY_NAME:-unknown}; nodes were tried on Debian $wanted only" >&2

# The settings first: what is installed starts with them, or not at all.
for name in docker.service docker.socket containerd.service etcd.service; do
    [ -e "/lib/systemd/system/$name" ] || ln -sfn /dev/null "/etc/systemd/system/$name"
done
(
    cd "$from/node/root"
    # /etc/hosts is the machine's own.
    find . -type f ! -path ./etc/hosts | while read -r path; do
        install -D -m 644 "$path" "/$path"
    done
)
(
    cd "$from/box/root"
    for path in usr/local/sbin/whalefall-identity usr/local/sbin/whalefall-data; do
        install -D -m 755 "$path" "/$path"
    done
    for path in etc/systemd/system/*.service.d/box.conf etc/systemd/system/whalefall-identity.service \
        etc/systemd/system/whalefall-data.service etc/ssh/sshd_config.d/whalefall.conf; do
        case $path in
        *udev*) ;; # that machine's boot is its own
        *) install -D -m 644 "$path" "/$path" ;;
        esac
    done
)

export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
apt-get update -q -o Acquire::Retries=3
# The kernel and the initrd are the box's own. AppArmor is on in Debian's, and Docker then starts no container without its parser.
# shellcheck disable=SC2046  # one word a package
apt-get install -y -q --no-install-recommends -o Acquire::Retries=3 -o Dpkg::Options::=--force-confold \
    $(words "$from/node/packages") kmod udev dmsetup sudo ca-certificates apparmor

install -D -m 755 "$from/fleetd" /usr/local/bin/fleetd
install -D -m 755 "$from/fleetctl" /usr/local/bin/fleetctl
mkdir -p /usr/share/whalefall
rm -rf /usr/share/whalefall/images
cp -r "$from/images" /usr/share/whalefall/images
find /usr/share/whalefall/images -type f -name web -exec chmod 755 {} +
mkdir -p /data /etc/fleet /var/log/journal

for name in docker.service docker.socket containerd.service etcd.service; do
    if [ "$(readlink "/etc/systemd/system/$name" || :)" = /dev/null ]; then
        rm "/etc/systemd/system/$name"
    fi
done
for timer in $(words "$from/node/mask"); do
    case $timer in
    *.timer) ln -sfn /dev/null "/etc/systemd/system/$timer" ;;
    esac
done
systemctl daemon-reload
systemctl --quiet enable whalefall-identity.service whalefall-data.service docker.service docker.socket containerd.service
systemctl --quiet disable etcd.service
systemctl start whalefall-identity.service whalefall-data.service
systemctl restart containerd.service docker.socket docker.service
# Of the key that the seed replaced.
rm -f /etc/ssh/ssh_host_ed25519_key.pub
# Its sessions stay; the next login sees the machine's own host key and root's keys.
systemctl reload-or-restart ssh.service
