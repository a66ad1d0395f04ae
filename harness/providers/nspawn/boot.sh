#!/bin/sh
# One nspawn machine from power-on to power-off, in mount namespaces of its own: when all of it is dead, the kernel takes its mounts and its loop
# device back, whoever was killed. Run by machine.py as: unshare --mount --propagation private sh boot.sh, everything in the environment:
#   WF_DIR        the node's folder: upper/ work/ disk/ and the mount points root/ data/ fuse/
#   WF_LOWER      the layers of the node image, as an overlay has them      WF_NETNS     path of the node's network namespace
#   WF_NAME       host name           WF_MACHINE   machine name
#   WF_GROUPS     cgroup folders of the machine, space-separated (made of letters, digits, dashes, dots and slashes only)
#   WF_HOST_GROUPS  the same for what serves it from outside
#   WF_FAULTABLE  1: the disk image is served by the slow-disk daemon; WF_PYTHON runs it
#   WF_SECONDS    how long one step may take
# With the argument "served": the second part, in which the slow disk is there already.
set -eu

bounded() {
    status=0
    timeout -k 1 "$WF_SECONDS" "$@" || status=$?
    # 124 and 137 are timeout's own: it ended the command, or had to kill it.
    if [ "$status" = 124 ] || [ "$status" = 137 ]; then echo "not done after $WF_SECONDS s: $*; does a disk of this machine hang?" >&2; fi
    return "$status"
}

if [ "${1-}" != served ]; then
    for group in $WF_HOST_GROUPS; do echo 0 >"$group/cgroup.procs"; done
fi

if [ "${1-}" != served ] && [ "$WF_FAULTABLE" = 1 ]; then
    rm -f "$WF_DIR/ready" "$WF_DIR/disk.sock"
    mkfifo "$WF_DIR/ready"
    # Whoever opens this first waits for the other. When the daemon ends early, so does the read.
    "$WF_PYTHON" -m harness.disk "$WF_DIR/disk" "$WF_DIR/fuse" "$WF_DIR/disk.sock" --ready-fd 3 3>"$WF_DIR/ready" &
    daemon=$!
    told=$(bounded head -c 1 "$WF_DIR/ready") || true
    rm -f "$WF_DIR/ready"
    if [ "$told" != r ]; then
        echo "the slow disk did not start" >&2
        kill -KILL "$daemon" || true
        exit 1
    fi
    # What lies on the slow disk is mounted in another mount namespace than the daemon's. The last process of a namespace unmounts what is in it while it
    # ends: a killed daemon would write the rest of the disk to itself, with its end of the connection still open, and wait for good.
    status=0
    unshare --mount --propagation private sh "$0" served || status=$?
    kill "$daemon" || true
    wait "$daemon" || true
    exit "$status"
fi

# nspawn keeps a folder and a lock for each machine in here, and leaves them when it is killed. On a disk of this mount namespace's own they end with it.
# Once more if another run, which saw it empty, removes it between the two.
for attempt in 1 2 3; do
    mkdir -p /run/systemd/nspawn
    ! bounded mount -t tmpfs -o mode=0700,size=1m tmpfs /run/systemd/nspawn || break
    [ "$attempt" != 3 ]
done

bounded mount -t overlay overlay -o "lowerdir=$WF_LOWER,upperdir=$WF_DIR/upper,workdir=$WF_DIR/work" "$WF_DIR/root"
image=$WF_DIR/disk/disk.img
if [ "${1-}" = served ]; then image=$WF_DIR/fuse/disk.img; fi
bounded mount -o loop,noatime "$image" "$WF_DIR/data"

(
    # Only the machine itself goes into its own group: freezing it must not freeze what holds its disk.
    # 0 stands for the process that writes, which is this subshell: echo is built in.
    for group in $WF_GROUPS; do echo 0 >"$group/cgroup.procs"; done
    # A node is as any machine, also where whoever started us is spared when memory is short.
    echo 0 2>/dev/null >/proc/self/oom_score_adj || true
    exec env \
        SYSTEMD_NSPAWN_API_VFS_WRITABLE=network \
        SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 \
        systemd-nspawn --quiet --boot --directory="$WF_DIR/root" --machine="$WF_MACHINE" --hostname="$WF_NAME" \
        --network-namespace-path="$WF_NETNS" --capability=all --system-call-filter=@known \
        --register=no --keep-unit --notify-ready=yes --console=pipe --settings=no \
        --resolv-conf=off --timezone=off --link-journal=no --bind="$WF_DIR/data:/data"
) || ended=$?

bounded umount -l "$WF_DIR/root" || true
bounded umount "$WF_DIR/data" || bounded umount -l "$WF_DIR/data"
exit "${ended-0}"
