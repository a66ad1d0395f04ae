# What stands before each script that forms a node: sh -c THIS-AND-THE-SCRIPT sh POLLS ARGUMENT...
# POLLS is how often to look, 50 ms apart, for a systemd that takes orders. The script itself has the arguments that come after it.
set -eu
polls=$1
shift

# Right after power-on there is no systemd yet to give orders to.
await_systemd() {
    until [ -S /run/systemd/private ]; do
        polls=$((polls - 1))
        if [ "$polls" -le 0 ]; then
            echo "systemd does not take orders: there is no /run/systemd/private" >&2
            exit 1
        fi
        sleep 0.05
    done
}
