# Makes one node a part of a Mesos cluster, and a member of its control plane where it is one. Run on the node by `Mesos.form`, after `systemd.sh`, with
#   MEMBER LATER RESTART HOSTS
# MEMBER is 1 or 0; LATER are units that are not started yet, with blanks between them; RESTART is how long a daemon of Mesos that ended stays down, as
# systemd writes it; HOSTS are lines for /etc/hosts. What stands on standard input is a tar of all files that the node is to have.
set -eu
member=$1 later=$2 restart=$3 hosts=$4

tar --extract --file - --directory / --no-same-owner --no-overwrite-dir --keep-directory-symlink
printf '%s\n' "$hosts" | while IFS= read -r line; do
    grep -qxF -- "$line" /etc/hosts || printf '%s\n' "$line" >>/etc/hosts
done

# Enabled for the boots after a power-off. Links by hand, because `systemctl enable` makes systemd load everything again.
wants=/etc/systemd/system/multi-user.target.wants
mkdir -p "$wants"
enable() {
    for folder in /etc/systemd/system /usr/lib/systemd/system /lib/systemd/system; do
        if [ -f "$folder/$1" ]; then
            ln -sfn "$folder/$1" "$wants/$1"
            return
        fi
    done
    echo "this node has no $1; it must be in the node image" >&2
    exit 1
}
units="haproxy.service haproxy-feeder.service"
daemons=mesos-agent.service
if [ "$member" = 1 ]; then
    units="zookeeper.service $units"
    daemons="mesos-master.service marathon.service $daemons"
fi
for unit in $units $daemons docker.service; do
    enable "$unit"
done
for unit in mesos-master mesos-agent marathon; do
    sed -i "s/^RestartSec=.*/RestartSec=$restart/" "/etc/systemd/system/$unit.service"
done

now=
for unit in $units $daemons; do
    case " $later " in
    *" $unit "*) ;;
    *) now="$now $unit" ;;
    esac
done
await_systemd
# Not waited for: whoever comes before what it stands on waits for that by itself, or is started again.
# shellcheck disable=SC2086  # one word a unit
exec systemctl start --no-block $now
