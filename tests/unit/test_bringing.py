"""Images of apps on their way: which a plan needs, into the cache, into nodes, and under which name modes are handed them."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import docker.errors
import pytest
from requests import ConnectionError as Refused

from harness.actions.rolling import UpdateApp
from harness.conductor import bringing, lending
from harness.conductor.options import Options
from harness.core.clock import SystemClock
from harness.core.errors import BadInput, Expired, FaultFailed, HarnessError, Unreachable, Unsupported
from harness.core.protocols import Cluster
from harness.core.values import App, Result
from harness.host import app_images, contexts
from harness.host.app_images import AppImage
from harness.nodes import docker_images
from harness.plan import Plan, plan_of, provenance
from harness.testing.bare import BareMode
from harness.testing.memory_node import MemoryNode
from harness.testing.memory_provider import MemoryProvider
from tests.unit.archiving import image, write

ID = "ab" * 32


class Daemon:
    """A node's Docker: what images it has, by name, and what it does with one that it is handed."""

    base_url, api_version = "http+docker://node", "1.41"

    def __init__(self, *, says: bytes | None = None, fails: Exception | None = None, asked: str = "") -> None:
        self.images: dict[str, str] = {}
        self.taken = b""
        self.closed = False
        self.api = self
        self.asked = asked
        self._says, self._fails = says, fails

    @contextmanager
    def post(self, url: str, *, data: Iterator[bytes], params: dict[str, str], stream: bool, **_: Any) -> Iterator[Any]:
        """Take an image, or what one is built of."""
        self.path, self.params = url.removeprefix("http+docker://node/v1.41/"), params
        assert self.path == ("build" if params else "images/load")
        assert stream
        self.taken = b"".join(data)
        if self._fails is not None:
            raise self._fails
        if self._says is None:
            self.images["web:1"] = ID
        pieces = io.BytesIO(b'{"stream":"Loaded image: web:1"}' if self._says is None else self._says)
        yield SimpleNamespace(raw=SimpleNamespace(read1=lambda size, **_: pieces.read(size)))

    def close(self) -> None:
        """Take note."""
        self.closed = True


class DockerNode(MemoryNode):
    """A node with a Docker that is played."""

    def __init__(self, name: str, daemon: Daemon) -> None:
        super().__init__(name, "10.77.0.11")
        self.daemon = daemon

    def run(self, *argv: str, timeout: float | None = None, stdin: bytes = b"") -> Result:
        """Tell of an image."""
        assert argv[:3] == ("docker", "image", "inspect")
        assert timeout
        assert not stdin
        if self.daemon.asked:
            return Result(argv, 1, b"", self.daemon.asked.encode())
        if argv[-1] not in self.daemon.images:
            return Result(argv, 1, b"\n", f"Error: No such image: {argv[-1]}".encode())
        return Result(argv, 0, f"sha256:{self.daemon.images[argv[-1]]}\n".encode(), b"")

    def docker(self, timeout: float) -> Any:
        """Return the way to it."""
        assert timeout > 0
        return self.daemon


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    """Return some archive."""
    return write(tmp_path / "web.tar", image(tags=["web:1"]))


def loaded(daemon: Daemon, path: Path) -> None:
    """Have an image loaded into a node."""
    docker_images.load(DockerNode("n1", daemon), path, "web:1", ID, SystemClock())


def test_an_image_is_loaded_where_it_is_not_there_yet(packed: Path) -> None:
    """Whole; also where another image has its name, and nothing is done where it is the one."""
    daemon = Daemon()
    loaded(daemon, packed)
    assert daemon.taken == packed.read_bytes()
    assert daemon.closed
    daemon.taken = b""
    loaded(daemon, packed)
    assert daemon.taken == b""
    daemon.images["web:1"] = "cd" * 32
    loaded(daemon, packed)
    assert daemon.taken != b""


@pytest.mark.parametrize(
    ("does", "error", "said"),
    [
        (
            {"says": b'{"stream":"going on"}\r\n{"errorDetail":{},"error":"no space left on device"}'},
            HarnessError,
            "no space left on device",
        ),
        ({"says": b'{"message":"server error"}'}, HarnessError, "server error"),
        ({"says": b"{}"}, HarnessError, "it says nothing"),
        ({"says": b"7\n[[[[" + b"[" * 10_000}, HarnessError, "it says nothing"),
        ({"says": b'{"status":"Loading"}\n' * 100_000 + b'{"error":"at last"}'}, HarnessError, "at last"),
        ({"fails": docker.errors.APIError("internal error")}, Unreachable, "internal error"),
        ({"fails": Refused("refused")}, Unreachable, "refused"),
        ({"fails": TimeoutError("timed out")}, Unreachable, "timed out"),
        ({"asked": "Cannot connect to the Docker daemon"}, HarnessError, "does not say whether it has the image web:1: Cannot connect"),
    ],
)
def test_a_daemon_that_does_not_take_an_image_is_named_with_what_it_said(
    packed: Path, does: dict[str, Any], error: type[HarnessError], said: str
) -> None:
    """What could not be asked is no refusal."""
    daemon = Daemon(**does)
    with pytest.raises(error) as caught:
        loaded(daemon, packed)
    assert "n1" in str(caught.value)
    assert said in str(caught.value)
    assert daemon.closed or does.get("asked")


def test_an_image_is_built_of_what_a_node_is_handed_where_it_has_none_of_that_name(packed: Path) -> None:
    """Whatever its id: each node's has one of its own. What the steps leave behind goes."""
    daemon = Daemon()
    docker_images.build(DockerNode("n1", daemon), packed, "web:1", SystemClock())
    assert daemon.taken == packed.read_bytes()
    assert daemon.params == {"t": "web:1", "rm": "1", "forcerm": "1"}
    daemon.taken, daemon.images = b"", {"web:1": "cd" * 32}
    docker_images.build(DockerNode("n1", daemon), packed, "web:1", SystemClock())
    assert daemon.taken == b""


@pytest.mark.parametrize(
    ("says", "said"),
    [
        (b'{"stream":"Step 2/3 : COPY app /app"}\r\n{"error":"COPY failed: no such file"}', "COPY failed: no such file"),
        (b'{"message":"dockerfile parse error line 3"}', "dockerfile parse error line 3"),
    ],
)
def test_a_daemon_that_does_not_build_an_image_is_named_with_what_it_said(packed: Path, says: bytes, said: str) -> None:
    """It has the last word of what could be wrong with a folder."""
    with pytest.raises(HarnessError, match=f"n1: Docker did not build the image web:1: {said}"):
        docker_images.build(DockerNode("n1", Daemon(says=says)), packed, "web:1", SystemClock())


def test_an_image_that_is_gone_is_no_word_about_a_node(tmp_path: Path) -> None:
    """Somebody removed the cache."""
    with pytest.raises(HarnessError, match="No such file or directory; run it again") as caught:
        loaded(Daemon(), tmp_path / "gone.tar")
    assert not isinstance(caught.value, Unreachable)


def test_a_daemon_that_takes_an_image_for_ever_is_given_up_on(packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It has so many seconds, and more for more bytes."""
    monkeypatch.setattr(docker_images, "LOAD_SECONDS", -1.0)
    with pytest.raises(Expired, match="Docker to take web:1"):
        loaded(Daemon(), packed)


def test_a_node_without_a_way_to_its_docker_says_so(packed: Path) -> None:
    """A skip, and nothing else."""
    with pytest.raises(Unsupported, match="offers no way to its Docker daemon"):
        docker_images.load(MemoryNode("n1", "10.77.0.11"), packed, "web:1", ID, SystemClock())


SCENARIO = """
scenario: s
why: An app whose image lies in a file, and is changed to another one on the way.
cluster: {provider: PROVIDER}
apps:
  - {name: web, instances: 2, image: 'FIRST'}
  - {name: other, instances: 1, host port: 9000}
steps:
  - do: app.update
    with: {app: web, image: 'THEN'}
  - {fault: node.kill, on: n1, hold: 1s}
promises: [conflicts]
"""


def planned(folder: Path, first: str, then: str, provider: str = "nspawn") -> Plan:
    """Return the plan of a scenario with these images."""
    path = folder / "s.yaml"
    path.write_text(SCENARIO.replace("FIRST", first).replace("THEN", then).replace("PROVIDER", provider))
    return plan_of(path, mode=None, provider=None, profile=None, seed=1)


def test_a_plan_needs_the_images_of_its_apps_and_of_its_updates(tmp_path: Path) -> None:
    """Each once, and as the scenario names them; the saved plan as well. Each is told, also those that nodes build."""
    write(tmp_path / "app.tar")
    made = planned(tmp_path, "./app.tar", "nginx:1")
    assert provenance.asked(made) == ("./app.tar", "web", "nginx:1")
    first, built, second = provenance.in_words(made)
    assert first.startswith("./app.tar: a docker archive of ")
    assert "loaded into nodes as whalefall/web:" in first
    assert built == f"web: built by each node, from {contexts.context_of('web')}"
    assert second.startswith("nginx:1: ")
    again = Plan.from_json(json.loads(json.dumps(made.to_json())))
    assert provenance.asked(again) == provenance.asked(made)
    assert again.apps[0].image == "./app.tar"


def test_a_folder_is_a_plans_image_by_its_path_also_one_of_an_update(tmp_path: Path) -> None:
    """Told with what it is now. What is wrong with it is told at its own place, each thing once."""
    for name in ("one", "two"):
        shutil.copytree(contexts.folder() / "web", tmp_path / name)
    made = planned(tmp_path, "./one", "./two")
    assert provenance.asked(made) == ("./one", "web", "./two")
    assert [each.partition(", hash")[0] for each in provenance.in_words(made)[::2]] == [
        f"./{name}: the folder {tmp_path / name}" for name in ("one", "two")
    ]
    (tmp_path / "two" / "Dockerfile").write_text('FROM debian\nCOPY web /web\nENTRYPOINT ["/web"]\n')
    with pytest.raises(BadInput) as caught:
        planned(tmp_path, "./two", "./two")
    (told,) = map(str, caught.value.problems)
    assert told.startswith(f"{tmp_path}/two/Dockerfile:1:6: FROM debian")


def test_what_is_wrong_with_the_images_of_a_file_is_told_all_at_once_with_its_place(tmp_path: Path) -> None:
    """Those of actions, too."""
    write(tmp_path / "windows.tar", image(os="windows"))
    with pytest.raises(BadInput) as caught:
        planned(tmp_path, "./windows.tar", "./no.tar")
    told = [str(each) for each in caught.value.problems]
    assert [(each.line, each.column) for each in caught.value.problems] == [(6, 38), (10, 29)]
    assert "an image for windows/" in told[0]
    assert "no such file" in told[1]


def test_images_for_hosts_of_somebody_else_are_told_as_theirs(tmp_path: Path) -> None:
    """Nothing is brought, and what could only be loaded is refused."""
    made = planned(tmp_path, "nginx:1", "nginx:2", provider="inventory")
    assert provenance.in_words(made)[0] == "nginx:1: as the hosts have it, or else pulled by their own Docker"
    with bringing.brought(made, Options(tmp_path)) as found:
        assert found == {}
    with pytest.raises(BadInput, match="on hosts that are not ours"):
        planned(tmp_path, "./app.tar", "nginx:1", provider="inventory")


def entry(path: Path, name: str, image_id: str = ID) -> AppImage:
    """Return an image in the cache."""
    return AppImage(path, "0" * 16, 1, 1.0, current=True, name=name, id=image_id, source="somewhere")


def test_two_images_of_one_name_are_no_run(tmp_path: Path, packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes could have one of them only."""
    monkeypatch.setattr(app_images, "ensure", lambda wanted, *_: entry(packed, wanted.name, wanted.origin.host.ljust(64, "0")))
    made = planned(tmp_path, "http://127.0.0.1:5000/web:1", "127.0.0.1:5000/web:1")
    with bringing.brought(made, Options(tmp_path)) as found:
        assert len(found) == 2
    monkeypatch.setattr(app_images, "ensure", lambda wanted, *_: entry(packed, wanted.name, str(wanted.origin.tls).ljust(64, "0")))
    with (
        pytest.raises(HarnessError, match=r"are two images, and nodes would call both of them 127\.0\.0\.1:5000/web:1"),
        bringing.brought(made, Options(tmp_path)),
    ):
        pass


class Updated(BareMode):
    """A mode that notes how it was asked to update an app."""

    def update(self, cluster: Cluster, app: App) -> None:
        """Take note."""
        del cluster
        self.app = app


def cluster_of(*daemons: Daemon) -> Cluster:
    """Return a cluster of nodes with these daemons."""
    nodes = [DockerNode(f"n{number}", each) for number, each in enumerate(daemons, 1)]
    mode = Updated({})
    made = Cluster("r", nodes, cast("Any", MemoryProvider()), mode, apps=[App("web", 2, image="./app.tar"), App("other", 1)])
    made.network = lambda: cast("AbstractContextManager[None]", nullcontext())  # type: ignore[method-assign]
    return made


def test_modes_are_handed_images_as_nodes_call_them(tmp_path: Path, packed: Path) -> None:
    """Those of updates as well; an image that nodes build keeps its name."""
    daemons = [Daemon(), Daemon()]
    cluster = cluster_of(*daemons)
    bringing.load({"./app.tar": entry(packed, "web:1"), "./later.tar": entry(packed, "web:1")}, cluster, Options(tmp_path))
    assert [each.images for each in daemons] == [{"web:1": ID}] * 2
    assert [each.image for each in cluster.apps] == ["web:1", "web"]
    UpdateApp("web", "./later.tar").act(cluster, ())
    assert isinstance(cluster.mode, Updated)
    assert cluster.mode.app.image == "web:1"


class OfImages(Updated):
    """A mode whose daemons come from images."""

    PACKAGED = ("master",)

    def use_images(self, images: Mapping[str, str]) -> None:
        """Run these."""

    def ready_for_images(self, cluster: Cluster) -> None:
        """Take note of what the nodes have by then."""
        self.had = [dict(cast("Any", node).daemon.images) for node in cluster.nodes]


def test_images_of_a_modes_own_daemons_are_there_before_it_is_formed(tmp_path: Path, packed: Path) -> None:
    """Once Docker is ready for them, and no others; a mode without any is asked for nothing."""
    daemon = Daemon()
    cluster = cluster_of(daemon)
    images = {"./master.tar": entry(packed, "web:1"), "./app.tar": entry(packed, "app:1")}
    made = cast("Plan", SimpleNamespace(images={"master": "./master.tar"}))
    lending._load_daemons(made, Options(tmp_path), cluster, images)
    assert daemon.images == {}
    cluster.mode = OfImages({})
    lending._load_daemons(cast("Plan", SimpleNamespace(images={})), Options(tmp_path), cluster, images)
    assert daemon.images == {}
    lending._load_daemons(made, Options(tmp_path), cluster, images)
    assert cluster.mode.had == [{}]
    assert daemon.images == {"web:1": ID}
    assert cluster.images == {"./master.tar": "web:1"}


def test_nodes_build_what_came_of_a_folder_and_results_say_of_what(tmp_path: Path, packed: Path) -> None:
    """An image of its own on each node, under one name."""
    daemons = [Daemon(), Daemon()]
    cluster = cluster_of(*daemons)
    image = replace(entry(packed, "web:1"), built_there=True)
    bringing.load({"./app.tar": image}, cluster, Options(tmp_path))
    assert [each.path for each in daemons] == ["build"] * 2
    assert [each.image for each in cluster.apps] == ["web:1", "web"]
    kept = {"name": "web:1", "built of": f"sha256:{ID}", "source": "somewhere", "digest": ""}
    assert bringing.facts({"./app.tar": image}) == {"app_images": {"./app.tar": kept}}


def test_a_node_that_does_not_take_an_image_is_named_and_all_others_have_it(tmp_path: Path, packed: Path) -> None:
    """All of them are waited for."""
    good, bad = Daemon(), Daemon(says=b'{"error":"disk full"}')
    with pytest.raises(FaultFailed, match=r"loading the image \./app\.tar failed on 1 of 2 nodes:\n +n2: .*disk full"):
        bringing.load({"./app.tar": entry(packed, "web:1")}, cluster_of(good, bad), Options(tmp_path))
    assert good.images == {"web:1": ID}


def test_an_update_that_no_plan_knew_of_brings_its_image_first(tmp_path: Path, packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a scenario in Python does it; once."""
    asked: list[str] = []

    def ensure(wanted: Any, *_: Any) -> AppImage:
        asked.append(wanted.asked)
        return entry(packed, "web:1")

    monkeypatch.setattr(app_images, "ensure", ensure)
    cluster, made = cluster_of(Daemon()), planned(tmp_path, "nginx:1", "nginx:2")
    cluster.apps = [App("web", 2), App("other", 1)]
    for _ in range(2):
        bringing.have(UpdateApp("web", "nginx:3"), cluster, made, Options(tmp_path))
    bringing.have(UpdateApp("web", environment={"A": "b"}), cluster, made, Options(tmp_path))
    assert asked == ["nginx:3"]
    assert cluster.images == {"nginx:3": "web:1"}
