# Plays a playbook on this machine, where nothing of its user is in reach and nothing is left afterwards. Run by `harness.modes.ansible.playing` as
#   unshare --mount --pid --fork --kill-child --mount-proc sh -c THIS sh SECONDS PATH PYTHON ARGUMENT...
# in the cluster's network. What is played, with the run's key, comes as an archive on standard input and is never on a disk. Whatever was begun in the
# namespace, ssh's masters too, the kernel ends with it.
set -eu
seconds=$1 path=$2
shift 2
umask 077
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir -m 0700 /run/play /run/play/home
cd /run/play
tar -x -f -
exec env -i PATH="$path" HOME=/run/play/home LC_ALL=C.UTF-8 ANSIBLE_CONFIG=/run/play/ansible.cfg ANSIBLE_HOME=/run/play/home/.ansible \
    timeout --kill-after=2 "$seconds" "$@" </dev/null 2>&1
