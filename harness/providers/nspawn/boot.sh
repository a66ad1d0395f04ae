#!/bin/sh
# One nspawn machine from power-on to power-off, in a mount namespace of its own: when all of it is dead, the kernel takes its mounts and its loop
# device back, whoever was killed. Run by machine.py as: unshare --mount --propagation private sh boot.sh, everything in the environment:
#   WF_DIR        the node's folder: upper/ work/ disk/ and the mount points root/ data/ fuse/
#   WF_LOWER      the node image      WF_NETNS     path of the node's network namespace
#   WF_NAME       host name           WF_MACHINE   machine name
#   WF_GROUPS     cgroup folders of the machine, space-separated (made of letters, digits, dashes, dots and slashes only)
#   WF_HOST_GROUPS  the same for what serves it from outside
#   WF_FAULTABLE  1: the disk image is served by the slow-disk daemon; WF_PYTHON runs it
set -eu
for group in $WF_HOST_GROUPS; do echo 0 >"$group/cgroup.procs"; done

# nspawn keeps a folder and a lock for each machine in here, and leaves them when it is killed. On a disk of this mount namespace's own they end with it.
# Once more if another run, which saw it empty, removes it between the two.
for attempt in 1 2 3; do
    mkdir -p /run/systemd/nspawn
    ! mount -t tmpfs -o mode=0700,size=1m tmpfs /run/systemd/nspawn || break
    [ "$attempt" != 3 ]
done

mount -t overlay overlay -o "lowerdir=$WF_LOWER,upperdir=$WF_DIR/upper,workdir=$WF_DIR/work" "$WF_DIR/root"
image=$WF_DIR/disk/disk.img
daemon=
if [ "$WF_FAULTABLE" = 1 ]; then
    rm -f "$WF_DIR/ready" "$WF_DIR/disk.sock"
    mkfifo "$WF_DIR/ready"
    # Both ends are open before the daemon is there: what it writes is lost with the last of them, and it closes its own at once.
    exec 3<>"$WF_DIR/ready"
    "$WF_PYTHON" -m harness.disk "$WF_DIR/disk" "$WF_DIR/fuse" "$WF_DIR/disk.sock" --ready-fd 3 &
    daemon=$!
    # One byte says that it is mounted. We hold both ends, so the daemon's death would not end the read: bounded.
    timeout 10 head -c 1 <&3 >/dev/null
    exec 3>&-
    rm -f "$WF_DIR/ready"
    image=$WF_DIR/fuse/disk.img
fi
mount -o loop,noatime "$image" "$WF_DIR/data"

status=0
(
    # Only the machine itself goes into its own group: freezing it must not freeze what holds its disk.
    # 0 stands for the process that writes, which is this subshell: echo is built in.
    for group in $WF_GROUPS; do echo 0 >"$group/cgroup.procs"; done
    exec env \
        SYSTEMD_NSPAWN_API_VFS_WRITABLE=network \
        SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 \
        systemd-nspawn --quiet --boot --directory="$WF_DIR/root" --machine="$WF_MACHINE" --hostname="$WF_NAME" \
        --network-namespace-path="$WF_NETNS" --capability=all --system-call-filter=@known \
        --register=no --keep-unit --notify-ready=yes --console=pipe --settings=no \
        --resolv-conf=off --timezone=off --link-journal=no --bind="$WF_DIR/data:/data"
) || status=$?

umount -l "$WF_DIR/root"
umount "$WF_DIR/data" || umount -l "$WF_DIR/data"
if [ -n "$daemon" ]; then
    umount "$WF_DIR/fuse" || kill "$daemon"
    wait "$daemon" || true
fi
exit "$status"
