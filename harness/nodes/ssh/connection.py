"""From an `Access` to a connection that can be trusted: found, checked and let in, every step within one deadline."""

from __future__ import annotations

import errno
import ipaddress
import os
import select
import socket
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from typing import TYPE_CHECKING

from paramiko import AuthenticationException, BadAuthenticationType, SSHException
from paramiko.ssh_exception import IncompatiblePeer

from harness.core import pace, stops
from harness.core.clock import Clock, Deadline
from harness.core.errors import HarnessError, Unreachable
from harness.core.figures import given
from harness.core.threads import CertainThread
from harness.nodes.ssh import keys
from harness.nodes.ssh.access import Access
from harness.nodes.ssh.losing import Lost, Refused
from harness.nodes.ssh.wire import DEAD_SECONDS, Link

if TYPE_CHECKING:
    from collections.abc import Sequence

    import paramiko

KNOCK_SECONDS = 2.0
"""How long one TCP connection is waited for before it is tried anew: the kernel's own repeats come ever more rarely, a machine that has just booted
is to be noticed at once."""
_AGAIN = {errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN}
"""What a machine that is off looks like: it may come back before the deadline."""

Network = Callable[[], AbstractContextManager[None]]


def connect(name: str, access: Access, deadline: Deadline, clock: Clock, network: Network) -> Link:
    """Return a connection to a machine that has shown the right key, authenticated as `access.user`.

    Raises `Unreachable` where nothing answers, or where it does not let us in; `HarnessError` for a machine with another key than the one expected
    (it is never spoken to), for one whose key nobody knows, and for a private key that cannot be used.
    """
    expected = keys.expected(access.host, access.port, access.host_keys)
    if not expected:
        raise HarnessError(
            f"{name}: the key of {access.where} is not known, and is not taken on trust; check it on the machine itself "
            f"(ssh-keygen -lf /etc/ssh/ssh_host_ed25519_key.pub), then add it to ~/.ssh/known_hosts"
        )
    with network():  # the connection's sockets and threads belong to it for good; a machine whose network is gone is gone with its key
        own = keys.ours(access.key)
        link = _start(name, access, deadline, clock, network)
        try:
            _greet(name, access, link, expected, deadline)
            _enter(name, access, link, own, deadline, clock)
        except BaseException:
            link.drop()
            raise
    link.watch()
    return link


def _start(name: str, access: Access, deadline: Deadline, clock: Clock, network: Network) -> Link:
    hop = access.hop()
    if hop is None:
        return _link(_tcp(name, access, deadline, clock), clock)
    bastion = connect(name, hop, deadline, clock, network)
    try:
        wire = bastion.tcp(access.host, access.port, deadline)
        return _link(wire, clock, bastion)
    except (Lost, Refused) as e:
        bastion.drop()
        raise Unreachable(name, f"SSH to {access.where} through {hop.where}", str(e)) from e
    except BaseException:
        bastion.drop()
        raise


class _Hopped(Link):
    """A connection inside another one, which ends with it."""

    bastion: Link

    def drop(self) -> None:
        """Close both."""
        super().drop()
        self.bastion.drop()


def _link(sock: socket.socket | paramiko.Channel, clock: Clock, bastion: Link | None = None) -> Link:
    if bastion is None:
        return Link(sock, clock)
    link = _Hopped(sock, clock)
    link.bastion = bastion
    return link


def _tcp(name: str, access: Access, deadline: Deadline, clock: Clock) -> socket.socket:
    asked = f"SSH to {access.where}"
    addresses = _resolved(name, access, deadline, clock)
    refused: list[str] = []  # what each address said for good
    while True:
        waited = False
        for address in list(addresses):
            sock = socket.socket(address[0], socket.SOCK_STREAM)
            try:
                _knock(sock, address[1], max(0.001, min(pace.limit(KNOCK_SECONDS), deadline.left())), clock)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # What is sent to a machine that is gone ends in an error, rather than in a quarter of an hour of repeats.
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(DEAD_SECONDS * 1000))
            except OSError as e:
                sock.close()
                waited = isinstance(e, TimeoutError)
                saw = "nobody answers" if waited else (e.strerror or str(e)).lower()
                if not waited and e.errno not in _AGAIN:
                    refused.append(saw)
                    addresses.remove(address)
                    if not addresses:
                        raise Unreachable(name, asked, "; ".join(dict.fromkeys(refused))) from e
                elif deadline.expired:
                    raise Unreachable(name, asked, f"{saw}, in {given(deadline.seconds)}") from e
            except BaseException:
                sock.close()
                raise
            else:
                return sock
        if not waited:
            clock.wait(_NEVER, min(0.2, deadline.left()))


_NEVER = threading.Event()


def _knock(sock: socket.socket, address: tuple[str, int], seconds: float, clock: Clock) -> None:
    """Connect a socket within so many seconds. Raises `OSError`, and what `stops.go_on` raises."""
    sock.settimeout(0.0)
    error = sock.connect_ex(address)
    if error in {errno.EINPROGRESS, errno.EAGAIN}:
        ready = select.poll()  # not `select`, which knows no descriptor above 1023
        ready.register(sock, select.POLLOUT)
        if not any(ready.poll(each * 1000) for each in stops.slices(seconds, clock)):
            raise TimeoutError("timed out")
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if error:
        raise OSError(error, os.strerror(error))
    sock.settimeout(None)


def _resolved(name: str, access: Access, deadline: Deadline, clock: Clock) -> list[tuple[socket.AddressFamily, tuple[str, int]]]:
    """Return families and addresses of a host, in the order in which to try them.

    A resolver knows no deadline, so one that hangs is left behind in its thread.
    """
    with suppress(ValueError):
        version = ipaddress.ip_address(access.host.partition("%")[0]).version
        return [(socket.AF_INET if version == 4 else socket.AF_INET6, (access.host, access.port))]  # noqa: PLR2004 - IP's own number
    found: list[tuple[socket.AddressFamily, tuple[str, int]]] = []
    trouble: list[OSError] = []
    done = threading.Event()

    def resolve() -> None:
        try:
            for family, _, _, _, address in socket.getaddrinfo(access.host, access.port, type=socket.SOCK_STREAM):
                found.append((family, (str(address[0]), access.port)))
        except (OSError, UnicodeError) as e:
            trouble.append(e if isinstance(e, OSError) else OSError(str(e)))
        finally:
            done.set()

    CertainThread(target=resolve, name="ssh-resolve").start()
    if not clock.wait(done, deadline.left()):
        raise Unreachable(name, f"SSH to {access.where}", f"its name was not resolved in {given(deadline.seconds)}")
    if not found:
        why = trouble[0].strerror if trouble else "no address"
        raise Unreachable(name, f"SSH to {access.where}", f"its name cannot be resolved: {why}")
    return list(dict.fromkeys(found))


def _greet(name: str, access: Access, link: Link, expected: Sequence[paramiko.PKey], deadline: Deadline) -> None:
    """Agree on keys, and see that the machine is the one we mean."""
    asked = f"SSH to {access.where}"
    options = link.get_security_options()
    kinds = tuple(each for each in keys.types_of(expected) if each in options.key_types)
    want = " or ".join(f"{key.get_name()} {key.fingerprint}" for key in expected)
    if not kinds:
        raise HarnessError(f"{name}: the key expected of {access.where} ({want}) is of a kind that cannot be checked here")
    options.key_types = kinds
    link.banner_timeout = link.handshake_timeout = max(0.001, deadline.left())
    ready = threading.Event()
    link.start_client(event=ready)
    while not ready.wait(min(stops.SLICE, deadline.left())) and link.is_active():
        stops.go_on()
        if deadline.expired:
            raise Unreachable(name, asked, f"connected, but no SSH greeting in {given(deadline.seconds)}")
    if not link.is_active():
        error = link.get_exception()
        if isinstance(error, IncompatiblePeer) and "host key" in str(error):
            raise HarnessError(
                f"{name}: {access.where} has no key of the kind expected ({want}): it is another machine, or its keys were made anew"
            )
        # The library gives up at the same moment as we do, and then its end comes first now and then.
        late = f"connected, but no SSH greeting in {given(deadline.seconds)}" if deadline.expired else ""
        raise Unreachable(name, asked, late or _words(error, "it hung up during the greeting")) from error
    shown = link.get_remote_server_key()
    if not any(key.asbytes() == shown.asbytes() for key in expected):
        raise HarnessError(
            f"{name}: {access.where} shows the key {shown.get_name()} {shown.fingerprint}; expected {want}; it is another machine, somebody stands "
            f"between, or its keys were made anew: nothing was sent to it; if that is right, replace the expected key"
        )


def _enter(name: str, access: Access, link: Link, own: Sequence[paramiko.PKey], deadline: Deadline, clock: Clock) -> None:
    asked = f"SSH to {access.where}"
    for key in own:
        if deadline.expired or not link.is_active():
            break
        try:
            more = _shown(link, access.user, key, deadline, clock)
        except BadAuthenticationType as e:
            raise Unreachable(name, asked, f"it takes no keys, only {', '.join(e.allowed_types) or 'nothing'}") from e
        except AuthenticationException as e:
            if deadline.expired or "timeout" in str(e).lower():
                raise Unreachable(name, asked, f"no answer to our key in {given(deadline.seconds)}") from e
            continue
        except (SSHException, EOFError, OSError) as e:
            raise Unreachable(name, asked, _words(e, "it hung up when shown our key")) from e
        if more:
            raise Unreachable(name, asked, f"a key is not enough, it also wants {', '.join(more)}")
        return
    if deadline.expired:
        raise Unreachable(name, asked, f"not let in within {given(deadline.seconds)}")
    shown = ", ".join(f"{key.get_name()} {key.fingerprint}" for key in own)
    raise Unreachable(name, asked, f"it refuses our key for {access.user} ({shown}); add it to {access.user}'s authorized_keys there")


def _shown(link: Link, user: str, key: paramiko.PKey, deadline: Deadline, clock: Clock) -> list[str]:
    """Show a key, and return what is wanted beside it. Raises as `Transport.auth_publickey`, whose own waiting nothing can end."""
    answered = threading.Event()
    link.auth_publickey(user, key, answered)
    clock.wait(answered, deadline.left())
    link.auth_timeout = 0.001  # that was all the waiting there is
    handler = link.auth_handler
    if handler is None:
        raise SSHException("the connection ended")
    return list(handler.wait_for_response(answered) or ())


def _words(error: BaseException | None, otherwise: str) -> str:
    """Say what is wrong with a connection. paramiko's texts for a peer that hangs up say only that a line could not be read."""
    if error is None or isinstance(error, EOFError) or "banner" in str(error):
        return otherwise
    return f"{otherwise}: {error}" if str(error) else otherwise
