# Starts one node's Docker daemon, and waits until it is ready. Run on the node by `Swarm.form`, after `systemd.sh`.
set -eu
if ! command -v dockerd >/dev/null; then
    echo "this node has no dockerd; it must be in the node image" >&2
    exit 1
fi
await_systemd
# A manager must come back by itself after a boot, and some nodes start Docker only when it is asked for.
systemctl --quiet --no-reload add-wants multi-user.target docker.service
exec systemctl start docker.service
