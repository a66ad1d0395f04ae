"""Nodes that are reached over SSH, with one connection a node that all threads share."""

from harness.nodes.ssh.access import Access, access_from_ssh_config
from harness.nodes.ssh.remote import SshNode, SshStream, import_now

__all__ = ["Access", "SshNode", "SshStream", "access_from_ssh_config", "import_now"]
