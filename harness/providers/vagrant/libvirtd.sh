#!/bin/sh
# PID 1 of a run's own libvirtd: it stands in a network, a mount and a pid namespace of its own, which end with it, and all virtual machines with them.
#
# WF_MARK: the run's id and its word · WF_PROOF: its word for namespaces · WF_DIR: the folder with etc/, lib/, log/ and sock/ · WF_CACHE: where qemu's capabilities are kept for the next run
set -eu

if [ -n "$WF_PROOF" ]; then ip link set lo alias "$WF_PROOF"; fi

# Held by a mount in here, the namespaces of clusters that end before this one would stay.
umount --recursive --lazy /run/netns 2>/dev/null || true

# Whose it is: whoever reads /proc/PID/mountinfo of any process in here finds this mark, also when no record is left. A fresh /run as well hides the
# host's D-Bus, systemd and libvirt: nothing in here can register a machine with them.
case $WF_DIR in
/run/*)
    exec 9<"$WF_DIR"
    mount -t tmpfs -o mode=755,size=64m "whalefall.$WF_MARK" /run
    mkdir -p "$WF_DIR"
    mount --bind /proc/self/fd/9 "$WF_DIR"
    exec 9<&-
    ;;
*) mount -t tmpfs -o mode=755,size=64m "whalefall.$WF_MARK" /run ;;
esac
mkdir -p /run/libvirt /run/lock
mount -t sysfs none /sys # as this network namespace sees it: bridges are set up through it. It shows no cgroups, so libvirt uses none.
mount --bind "$WF_DIR/etc" /etc/libvirt
mount --bind "$WF_DIR/lib" /var/lib/libvirt
mount --bind "$WF_DIR/log" /var/log/libvirt
mount --bind "$WF_CACHE" /var/cache/libvirt
ip link set lo up

libvirtd --config /etc/libvirt/libvirtd.conf --pid-file /run/libvirtd.pid &
wait $! # and collect whoever is left to us meanwhile
