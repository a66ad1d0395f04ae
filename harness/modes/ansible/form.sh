# Lets one key in as root over SSH, starts sshd and Docker, and waits until both are ready. Run on the node by `Ansible.form`, after `systemd.sh`, with
#   KEY
# which is a line for authorized_keys.
set -eu
key=$1
if ! command -v dockerd >/dev/null || ! command -v python3 >/dev/null || [ ! -x /usr/sbin/sshd ]; then
    echo "this node lacks dockerd, python3 or sshd; they must be in the node image" >&2
    exit 1
fi
umask 077
cd ~root
mkdir -p .ssh
# A second run on the same nodes finds the first one's key, which opens nothing any more once its holder is gone.
grep -qxF -- "$key" .ssh/authorized_keys 2>/dev/null || printf '%s\n' "$key" >>.ssh/authorized_keys
host=/etc/ssh/ssh_host_ed25519_key
[ -s "$host" ] || ssh-keygen -q -t ed25519 -N '' -C '' -f "$host"
await_systemd
# Both must come back by themselves after a boot, and some nodes start Docker only when it is asked for.
systemctl --quiet --no-reload add-wants multi-user.target docker.service ssh.service
exec systemctl start docker.service ssh.service
