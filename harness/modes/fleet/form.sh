# Makes one node a machine of a fleet cluster, and an etcd member where it is one. Run on the node by `Fleet.form`, after `systemd.sh`, with
#   MEMBER ETCD_CONF FLEET_CONF
# MEMBER is 1 or 0; ETCD_CONF and FLEET_CONF are whole files.
set -eu
member=$1 etcd_conf=$2 fleet_conf=$3

mkdir -p /etc/fleet /etc/systemd/system/multi-user.target.wants /etc/systemd/system/sockets.target.wants
printf '%s' "$fleet_conf" >/etc/fleet/fleet.conf

# Enabled for the boots after a power-off. Links by hand, because `systemctl enable` makes systemd load everything again.
enable() {
    for folder in /etc/systemd/system /usr/lib/systemd/system /lib/systemd/system; do
        if [ -f "$folder/$1" ]; then
            ln -sfn "$folder/$1" "/etc/systemd/system/$2.wants/$1"
            return
        fi
    done
    echo "this node has no $1; it must be in the node image" >&2
    exit 1
}
enable fleet.socket sockets.target
enable fleet.service multi-user.target
enable docker.service multi-user.target # some nodes start it only when it is asked for
units="fleet.socket fleet.service"
if [ "$member" = 1 ]; then
    printf '%s' "$etcd_conf" >/etc/default/etcd
    enable etcd.service multi-user.target
    units="etcd.service $units"
fi

await_systemd
# Not waited for: etcd is only ready when a majority is, and fleet.service waits for it by itself.
# shellcheck disable=SC2086  # one word a unit
exec systemctl start --no-block $units
