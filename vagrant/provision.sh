#!/bin/sh
# Usage: provision.sh FOLDER. Makes a node out of any Debian machine: the packages and settings of the node image, what a mode has beside that, and what
# a virtual machine of ours has. FOLDER holds node/ and box/ (the fixtures), layer/ (a mode's) and compiled/ (what lies at its place on a node). Run as
# root; a second run changes nothing.
set -eu
from=$1

words() { if [ -e "$1" ]; then sed 's/#.*//' "$1"; fi; }

[ "$(id -u)" -eq 0 ] || { echo "provision.sh needs root" >&2; exit 1; }
# shellcheck source=/dev/null
. /etc/os-release
wanted=$(cat "$from/node/suite")
[ "${VERSION_CODENAME:-}" = "$wanted" ] || echo "this is ${PRETTY_NAME:-unknown}; nodes were tried on Debian $wanted only" >&2

# The settings first: what is installed starts with them, or not at all.
for name in docker.service docker.socket containerd.service $(words "$from/layer/disable"); do
    [ -e "/lib/systemd/system/$name" ] || ln -sfn /dev/null "/etc/systemd/system/$name"
done
for laid in "$from/node/root" "$from/layer/root"; do
    [ -d "$laid" ] || continue
    # /etc/hosts is the machine's own.
    (cd "$laid" && find . -type f ! -path ./etc/hosts) | while read -r path; do
        case $path in
        */bin/* | */sbin/*) install -D -m 755 "$laid/$path" "/$path" ;;
        *) install -D -m 644 "$laid/$path" "/$path" ;;
        esac
    done
done
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
    $(words "$from/node/packages") $(words "$from/layer/packages") kmod udev dmsetup sudo ca-certificates apparmor

for program in "$from"/compiled/usr/local/bin/*; do
    [ ! -e "$program" ] || install -D -m 755 "$program" "/usr/local/bin/${program##*/}"
done
mkdir -p /usr/share/whalefall
rm -rf /usr/share/whalefall/images
cp -r "$from/compiled/usr/share/whalefall/images" /usr/share/whalefall/images
find /usr/share/whalefall/images -type f -name web -exec chmod 755 {} +
mkdir -p /data /var/log/journal

for name in docker.service docker.socket containerd.service $(words "$from/layer/disable"); do
    if [ "$(readlink "/etc/systemd/system/$name" || :)" = /dev/null ]; then
        rm "/etc/systemd/system/$name"
    fi
done
for timer in $(words "$from/node/mask"; words "$from/layer/mask"); do
    case $timer in
    *.timer) ln -sfn /dev/null "/etc/systemd/system/$timer" ;;
    esac
done
systemctl daemon-reload
systemctl --quiet enable whalefall-identity.service whalefall-data.service docker.service docker.socket containerd.service
for name in $(words "$from/layer/disable"); do
    systemctl --quiet disable "$name"
done
if [ -e "$from/layer/finish" ]; then
    sh "$from/layer/finish" ""
fi
systemctl start whalefall-identity.service whalefall-data.service
systemctl restart containerd.service docker.socket docker.service
# Of the key that the seed replaced.
rm -f /etc/ssh/ssh_host_ed25519_key.pub
# Its sessions stay; the next login sees the machine's own host key and root's keys.
systemctl reload-or-restart ssh.service
