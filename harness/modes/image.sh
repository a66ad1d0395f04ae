# Makes sure that a node has an image. Run on the node by `harness.modes.steps.image` as: sh -c THIS sh IMAGE CONTEXT
# From what is there, best first: the image itself, the folder CONTEXT, a registry.
set -eu
image=$1 context=$2
if docker image inspect "$image" >/dev/null 2>&1; then exit 0; fi
if [ -f "$context/Dockerfile" ]; then exec docker build --quiet --tag "$image" "$context"; fi
exec docker pull --quiet "$image"
