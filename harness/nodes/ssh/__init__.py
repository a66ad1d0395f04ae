"""Nodes that are reached over SSH, with one connection a node that all threads share."""

from harness.nodes.ssh.access import Access, access_from_ssh_config
from harness.nodes.ssh.keys import make_host_key, make_user_key
from harness.nodes.ssh.remote import SshNode, SshStream

__all__ = ["Access", "SshNode", "SshStream", "access_from_ssh_config", "make_host_key", "make_user_key"]
