# Makes sure that a node has an image. Run on the node by `harness.modes.on_nodes.image` as: sh -c THIS sh IMAGE CONTEXT
# From what is there, best first: the image itself, the folder CONTEXT, a registry. Ends with 3 where a registry did not give it.
set -eu
image=$1 context=$2
if docker image inspect "$image" >/dev/null 2>&1; then exit 0; fi
if [ ! -f "$context/Dockerfile" ]; then
    docker pull --quiet "$image" || exit 3
    exit 0
fi

# Programs, libraries and folders that the node itself has, named in a file from-node, with all that their loader loads: an image of Debian's needs no
# registry.
tree=
if [ -f "$context/from-node" ]; then
    tree=$(mktemp)
    trap 'rm -f "$tree"' EXIT
    for program in $(sed 's/#.*//' "$context/from-node"); do
        if [ ! -e "$program" ]; then
            echo "this node has no $program, which $context/from-node names: the layer of its mode must have the package" >&2
            exit 1
        fi
        printf '%s\n' "$program"
        if [ -d "$program" ]; then continue; fi
        ldd "$program" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) .*/\1/p'
    done >"$tree"
    sort -u -o "$tree" "$tree"
fi

# Files laid over nothing are one layer, which is imported in one step: a build takes one a line, ten times as long on an emulated machine. Anything
# that is no plain copy to the root, and no plain setting, is built.
set --
over=
while read -r word rest; do
    case $word in
    '' | '#'*) ;;
    FROM) [ "$rest" = scratch ] && over=nothing || over=something ;;
    COPY)
        file=${rest%% *}
        case $file in */* | -* | *[*?[\"\\$]*) over=something ;; esac
        [ "$rest" = "$file /$file" ] || over=something
        set -- "$@" "$file"
        ;;
    ADD) [ -n "$tree" ] && [ "$rest" = "from-node.tar /" ] || over=something ;;
    CMD | ENTRYPOINT | ENV | EXPOSE | LABEL | USER | VOLUME | WORKDIR)
        case $rest in *\\ | *\$*) over=something ;; esac
        ;;
    *) over=something ;;
    esac
    [ "$over" = nothing ] || [ -z "$over" ] || break
done <"$context/Dockerfile"

# Adds to an archive what the node has, under the paths that it has there.
add() {
    tar --append --file "$1" --owner=0 --group=0 --numeric-owner --dereference --absolute-names --files-from "$tree" --transform 's,^/,,'
}

if [ "$over" != nothing ] || { [ $# -eq 0 ] && [ -z "$tree" ]; }; then
    if [ -n "$tree" ]; then
        rm -f "$context/from-node.tar"
        add "$context/from-node.tar"
        rm -f "$tree"
    fi
    exec docker build --quiet --tag "$image" "$context"
fi

packed=$(mktemp)
trap 'rm -f "$packed" "$tree"' EXIT
tar --create --file "$packed" --owner=0 --group=0 --numeric-owner --directory "$context" --files-from /dev/null "$@"
[ -z "$tree" ] || add "$packed"
set --
while read -r word rest; do
    case $word in
    '' | '#'* | ADD | FROM | COPY) ;;
    *) set -- "$@" --change "$word $rest" ;;
    esac
done <"$context/Dockerfile"
docker import "$@" "$packed" "$image"
