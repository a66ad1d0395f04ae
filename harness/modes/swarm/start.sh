# Starts one node's Docker daemon, and waits until it is ready. Run on the node by `Swarm.form` as: sh -c THIS sh POLLS
# POLLS is how often to look, 50 ms apart, for a systemd that takes orders.
set -eu
polls=$1
if ! command -v dockerd >/dev/null; then
    echo "this node has no dockerd; it must be in the node image" >&2
    exit 1
fi
# Right after power-on there is no systemd yet to give orders to.
until [ -S /run/systemd/private ]; do
    polls=$((polls - 1))
    if [ "$polls" -le 0 ]; then
        echo "systemd does not take orders: there is no /run/systemd/private" >&2
        exit 1
    fi
    sleep 0.05
done
# A manager must come back by itself after a boot, and some nodes start Docker only when it is asked for.
systemctl --quiet --no-reload add-wants multi-user.target docker.service
exec systemctl start docker.service
