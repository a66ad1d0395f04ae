# Makes sure that a node has an image. Run on the node by `harness.modes.on_nodes.image` as: sh -c THIS sh IMAGE CONTEXT
# From what is there, best first: the image itself, the folder CONTEXT, a registry. Ends with 3 where a registry did not give it.
set -eu
image=$1 context=$2
if docker image inspect "$image" >/dev/null 2>&1; then exit 0; fi
if [ ! -f "$context/Dockerfile" ]; then
    docker pull --quiet "$image" || exit 3
    exit 0
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
    CMD | ENTRYPOINT | ENV | EXPOSE | LABEL | USER | VOLUME | WORKDIR)
        case $rest in *\\ | *\$*) over=something ;; esac
        ;;
    *) over=something ;;
    esac
    [ "$over" = nothing ] || [ -z "$over" ] || break
done <"$context/Dockerfile"
[ "$over" = nothing ] && [ $# -gt 0 ] || exec docker build --quiet --tag "$image" "$context"

packed=$(mktemp)
trap 'rm -f "$packed"' EXIT
tar --create --file "$packed" --owner=0 --group=0 --numeric-owner --directory "$context" "$@"
set --
while read -r word rest; do
    case $word in
    '' | '#'* | FROM | COPY) ;;
    *) set -- "$@" --change "$word $rest" ;;
    esac
done <"$context/Dockerfile"
docker import "$@" "$packed" "$image"
