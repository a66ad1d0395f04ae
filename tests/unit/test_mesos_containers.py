"""A TaskInfo as a container, and the questions that the agent's stand-in asks of Docker's socket."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from standin.agent.__main__ import kill_process
from standin.agent.agent_flags import AgentFlags
from standin.agent.checkpoints import CheckpointError, Checkpoints
from standin.agent.containers import BadTaskError, body_of
from standin.agent.engine import DockerError, SocketDocker
from standin.agent.health import check_health
from standin.doubles.clock import run
from standin.doubles.docker import MemoryContainer
from standin.flags import BadFlagsError, load, shown
from standin.http import Request, Response, Stream, UnreachableError
from standin.master.master_flags import MasterFlags
from standin.network import AiohttpNetwork
from standin.states import new_uuid, status_of


def _scalar(name: str, value: float) -> dict[str, Any]:
    return {"name": name, "type": "SCALAR", "scalar": {"value": value}}


def _task(**docker: Any) -> dict[str, Any]:
    ports = {"name": "ports", "type": "RANGES", "ranges": {"range": [{"begin": 31000, "end": 31000}]}}
    return {
        "task_id": {"value": "web.1"},
        "resources": [_scalar("cpus", 0.5), _scalar("mem", 512), ports],
        "command": {"shell": False, "environment": {"variables": [{"name": "PORT", "value": "31000"}]}},
        "container": {
            "type": "DOCKER",
            "docker": {"image": "web:1", "network": "BRIDGE", "port_mappings": [{"host_port": 31000, "container_port": 8080}], **docker},
            "volumes": [{"container_path": "/data", "host_path": "/srv/data", "mode": "RO"}],
        },
    }


def _body(task: dict[str, Any], *, limit_cpus: bool = False) -> dict[str, Any]:
    return body_of(task, "mesos-x", "/srv/sandbox", inside="/mnt/mesos/sandbox", limit_cpus=limit_cpus)


def test_a_task_is_what_docker_run_would_make_of_it() -> None:
    """Shares and memory from its resources, its ports published, its environment and labels, its sandbox mounted."""
    parameters = [{"key": "label", "value": "app=web"}, {"key": "env", "value": "A=1"}, {"key": "pids-limit", "value": "64"}]
    body = _body(_task(parameters=parameters))
    host = body["HostConfig"]
    assert (host["CpuShares"], host["Memory"], host["NetworkMode"]) == (512, 512 << 20, "bridge")
    assert "CpuQuota" not in host
    assert host["PortBindings"] == {"8080/tcp": [{"HostPort": "31000"}]}
    assert host["Binds"] == ["/srv/sandbox:/mnt/mesos/sandbox", "/srv/data:/data:ro"]
    assert host["PidsLimit"] == 64
    assert body["Labels"] == {"app": "web"}
    assert set(body["Env"]) == {"PORT=31000", "MESOS_SANDBOX=/mnt/mesos/sandbox", "MESOS_CONTAINER_NAME=mesos-x", "A=1"}
    assert "Entrypoint" not in body
    assert _body(_task(), limit_cpus=True)["HostConfig"]["CpuQuota"] == 50_000


def test_commands() -> None:
    """A shell's is given to /bin/sh, a value alone is the entry point, arguments are the image's own command."""
    task = _task()
    task["command"] = {"value": "exec web $PORT"}
    assert (_body(task)["Entrypoint"], _body(task)["Cmd"]) == (["/bin/sh"], ["-c", "exec web $PORT"])
    task["command"] = {"shell": False, "value": "web", "arguments": ["-v"]}
    assert (_body(task)["Entrypoint"], _body(task)["Cmd"]) == (["web"], ["-v"])
    task["command"] = {"shell": False, "arguments": ["-v"]}
    assert "Entrypoint" not in _body(task)


@pytest.mark.parametrize(
    ("docker", "words"),
    [
        ({"port_mappings": [{"container_port": 80}]}, "cannot be read: KeyError: 'host_port'"),
        ({"image": ""}, "None of the enabled containerizers"),
        ({"port_mappings": [{"host_port": 80, "container_port": 80}]}, "not included in resources"),
        ({"network": "HOST"}, "only supported for bridge"),
        ({"network": "USER"}, "one name"),
        ({"parameters": [{"key": "no-such", "value": "1"}]}, "unknown flag: --no-such"),
        ({"parameters": [{"key": "pids-limit", "value": "many"}]}, "invalid argument 'many' for --pids-limit"),
        ({"parameters": [{"key": "memory", "value": "1x"}]}, "invalid argument"),
    ],
)
def test_what_no_container_can_be_made_of_is_told(docker: dict[str, Any], words: str) -> None:
    """Before Docker is asked."""
    with pytest.raises(BadTaskError, match=words):
        _body(_task(**docker))


def test_flags_of_both_daemons_are_upstreams() -> None:
    """With its defaults, its limits, and shown as they would be written."""
    master = load(MasterFlags, ["--zk=zk://n1:2181,n2:2181/mesos", "--agent_removal_rate_limit=1/20mins"], {})
    written = shown(master)
    assert (written["zk"], written["agent_ping_timeout"], written["agent_reregister_timeout"]) == (
        "zk://n1:2181,n2:2181/mesos",
        "15secs",
        "10mins",
    )
    assert (written["agent_removal_rate_limit"], written["recovery_agent_removal_limit"]) == ("1/20mins", "100%")
    wrong = [
        "--agent_reregister_timeout=9mins",
        "--agent_ping_timeout=20mins",
        "--max_agent_ping_timeouts=0",
        "--recovery_agent_removal_limit=101%",
    ]
    with pytest.raises(BadFlagsError) as told:
        load(MasterFlags, ["--zk=zk://n1:2181/mesos", *wrong], {})
    assert all(each[2:].partition("=")[0] in str(told.value) for each in wrong)
    agent = load(AgentFlags, ["--master=zk://n1:2181/mesos", "--work_dir=/w", "--resources=cpus:4", "--attributes=rack:a;cores:4"], {})
    assert shown(agent)["resources"] == "cpus:4; disk:10240; mem:1024; ports:[31000-32000]"
    assert [*agent.attributes] == [
        {"name": "rack", "type": "TEXT", "text": {"value": "a"}},
        {"name": "cores", "type": "SCALAR", "scalar": {"value": 4.0}},
    ]
    with pytest.raises(BadFlagsError, match="docker containerizer alone"):
        load(AgentFlags, ["--master=zk://n1:2181/mesos", "--work_dir=/w", "--containerizers=mesos"], {})


def test_a_checkpoint_that_was_cut_off_is_read_up_to_there(tmp_path: Path) -> None:
    """What the agent was writing when it died was not sent; a line that is broken in the middle is no such thing."""
    checkpoints = Checkpoints(str(tmp_path))
    checkpoints.begin({"id": {"value": "S0"}})
    framework, task = {"id": {"value": "F0"}}, {"task_id": {"value": "web.1"}}
    checkpoints.launch(framework, task, "c1")
    status = status_of(task, "TASK_RUNNING", source="SOURCE_EXECUTOR", now=0.0, identity=new_uuid())
    checkpoints.update("F0", "web.1", "c1", status)
    checkpoints.acknowledge("F0", "web.1", "c1", status["uuid"])
    path = next(tmp_path.rglob("task.updates"))
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole + '{"update": {"sta', encoding="utf-8")
    again = Checkpoints(str(tmp_path))
    assert again.agent_info() == {"id": {"value": "S0"}}
    (recovered,) = again.tasks()
    assert (recovered.container, recovered.updates, recovered.acknowledged) == ("c1", [status], {status["uuid"]})
    path.write_text("{}}\n" + whole, encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"task\.updates:1"):
        [*again.tasks()]
    checkpoints.complete("F0", "web.1", "c1")
    assert [*again.tasks()] == []


def test_health_checks_tell_changes_and_failures() -> None:
    """Upstream tells the first success, each failure, and at the last one that the task is to be killed."""
    told: list[tuple[bool, bool]] = []
    answers = iter([True, True, False, False, True, False, False, False])

    async def connect(_address: str, _port: int) -> tuple[None, Any]:
        if not next(answers):
            raise OSError("refused")

        class Writer:
            def close(self) -> None: ...

        return None, Writer()

    async def main() -> None:
        check = {"type": "TCP", "tcp": {"port": 80}, "grace_period_seconds": 0, "consecutive_failures": 3}
        checking = asyncio.ensure_future(
            check_health(
                check, MemoryContainer("mesos-x", {}).seen, lambda healthy, *, kill: told.append((healthy, kill)), _run_nothing, connect
            )
        )
        await asyncio.sleep(15 + 7 * 10 + 1)
        checking.cancel()

    run(main())
    assert told == [(True, False), (False, False), (False, False), (True, False), (False, False), (False, False), (False, True)]


async def _run_nothing(_: Sequence[str]) -> int:
    raise AssertionError("no command was to be run")


@pytest.mark.parametrize(
    ("command", "wanted"),
    [({"value": "test -e /x"}, ["sh", "-c", "test -e /x"]), ({"shell": False, "value": "/web", "arguments": ["-h"]}, ["/web", "-h"])],
)
def test_a_command_is_run_in_the_container_as_it_is_given(command: Mapping[str, Any], wanted: list[str]) -> None:
    """By the container's own shell unless it is to go without; another status than 0, and one that Docker cannot run, are failures."""
    told: list[tuple[bool, bool]] = []
    ran: list[list[str]] = []
    ends: Iterator[int | DockerError] = iter([0, 1, DockerError("no such container")])

    async def execute(asked: Sequence[str]) -> int:
        ran.append([*asked])
        end = next(ends)
        if isinstance(end, DockerError):
            raise end
        return end

    async def main() -> None:
        check = {"type": "COMMAND", "command": command, "grace_period_seconds": 0, "consecutive_failures": 2}
        container = MemoryContainer("mesos-x", {}).seen
        checking = asyncio.ensure_future(check_health(check, container, lambda healthy, *, kill: told.append((healthy, kill)), execute))
        await asyncio.sleep(15 + 2 * 10 + 1)
        checking.cancel()

    run(main())
    assert ran == [wanted] * 3
    assert told == [(True, False), (False, False), (False, True)]


def test_a_process_of_somebody_elses_is_not_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Process ids are used again: who is in no cgroup of that container is left alone, and so is who is not there."""
    killed: list[int] = []
    monkeypatch.setattr(os, "kill", lambda pid, _signal: killed.append(pid))
    kill_process(os.getpid(), "0123456789abcdef-of-no-container")
    kill_process(2**22 + 1, "")
    assert killed == []
    kill_process(os.getpid(), "")
    assert killed == [os.getpid()]


async def _engine(path: str, answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> web.ServerRunner:
    runner = web.ServerRunner(web.Server(answer))
    await runner.setup()
    await web.UnixSite(runner, path).start()
    return runner


def test_docker_is_asked_as_its_api_wants_it(tmp_path: Path) -> None:
    """By method, path and body, and its refusals are told in its own words."""
    asked: list[str] = []

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(f"{request.method} {request.path_qs} {(await request.read()).decode()}".strip())
        answers: dict[str, Any] = {
            "/version": {"Version": "20.10.24"},
            "/containers/json": [{"Names": ["/mesos-x"], "Id": "i", "State": "running"}],
            "/containers/mesos-x/json": {
                "Name": "/mesos-x",
                "Id": "i",
                "State": {"Running": True, "Pid": 7, "StartedAt": "2026-01-01T00:00:00Z"},
                "NetworkSettings": {"Networks": {"bridge": {"IPAddress": "172.17.0.2"}}},
            },
            "/containers/mesos-x/wait": {"StatusCode": 3},
            "/containers/mesos-x/exec": {"Id": "e"},
            "/exec/e/json": {"ExitCode": 4},
        }
        if request.path == "/images/create":
            return web.Response(text='{"status":"Pulling"}\n{"error":"pull access denied"}\n')
        if request.path == "/exec/e/start":
            return web.Response(body=b"\x01\0\0\0\0\0\0\x02no")
        if request.path.endswith(("/start", "/stop")):
            return web.Response(status=204)
        if request.path in answers:
            return web.json_response(answers[request.path])
        if request.path == "/containers/create":
            return web.json_response({"message": "Conflict. The name is in use"}, status=409)
        return web.json_response({"message": "no such image"}, status=404)

    async def main() -> None:
        runner = await _engine(f"{tmp_path}/docker.sock", answer)
        network = AiohttpNetwork(socket=f"{tmp_path}/docker.sock")
        docker = SocketDocker(network)
        assert await docker.version() == "20.10.24"
        assert [each.name for each in await docker.containers()] == ["mesos-x"]
        assert not await docker.has_image("registry.example:5000/web:1")
        with pytest.raises(DockerError, match="pull access denied"):
            await docker.pull("registry.example:5000/web")
        with pytest.raises(DockerError, match="409 Conflict"):
            await docker.run("mesos-x", {"Image": "web:1"})
        found = await docker.inspect("mesos-x")
        assert (found.pid, found.address, found.running, found.started) == (7, "172.17.0.2", True, True)
        assert await docker.wait("mesos-x") == 3
        assert await docker.execute("mesos-x", ["test", "-e", "/x"]) == 4
        await docker.stop("mesos-x", 5)
        await runner.cleanup()
        with pytest.raises(DockerError, match="cannot connect"):
            await docker.version()
        await network.close()

    asyncio.run(main())
    assert "POST /images/create?fromImage=registry.example:5000/web&tag=latest" in [
        each.replace("%3A", ":").replace("%2F", "/") for each in asked
    ]
    assert 'POST /containers/create?name=mesos-x {"Image": "web:1"}' in asked
    assert "POST /containers/mesos-x/stop?t=5" in asked


def test_requests_and_streams_go_over_real_sockets() -> None:
    """A stream ends when either side does, and each hears of the other."""

    async def main() -> None:
        network = AiohttpNetwork()
        stream = Stream({"Mesos-Stream-Id": "s"})

        async def answer(request: Request) -> Response | Stream:
            # The one of the time of the question.
            if request.path == "/stream":
                return stream
            return Response.of({"path": request.path, "query": dict(request.query), "body": json.loads(request.body or b"null")})

        port = await network.serve("127.0.0.1", 0, answer)
        url = f"http://127.0.0.1:{port.port}"
        answered = await network.ask("POST", f"{url}/slave(1)/x?a=1", b'{"b":2}', within=5)
        assert answered.json() == {"path": "/slave(1)/x", "query": {"a": "1"}, "body": {"b": 2}}
        async with network.open("GET", f"{url}/stream") as received:
            assert received.headers["mesos-stream-id"] == "s"
            stream.send(b"one")
            async for piece in received.pieces():
                assert piece == b"one"
                break
        await asyncio.wait_for(stream.gone.wait(), 5)
        endless = Stream()
        stream = endless
        async with network.open("GET", f"{url}/stream"):
            await asyncio.wait_for(port.close(), 5)
        assert endless.gone.is_set()
        with pytest.raises(UnreachableError):
            await network.ask("GET", url, within=5)
        await network.close()

    asyncio.run(main())
