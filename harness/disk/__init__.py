"""A disk that can be slowed while it is in use, on machines without device-mapper.

A small FUSE file system that holds one file, ``disk.img``, and passes every operation on to the same file in a backing folder, later by as
much as it was told. A node's ``/data`` lies on a loop device over that file, so that the loop device's flush arrives here as an fsync.

An fsync that only rewrites blocks is one flush; one that also changes the file system's own records (a file that grows) is two, as on any disk
without forced unit access: ext4's journal flushes before and after its commit. While a flush is held back, a loop device that does not use
direct I/O sends nothing else either.

* `harness.disk.daemon` is the file system; ``python -m harness.disk BACKING MOUNTPOINT CONTROL_SOCKET [--ready-fd N]`` runs it.
* `harness.disk.delays` is its heart: how long each operation sleeps, and how a sleeping one is woken.
* `harness.disk.control` answers on the control socket, `harness.disk.client` asks.
* `harness.disk.fuse_connection` notes down the kernel's side of it, and breaks it off where nobody is left to answer.

One daemon runs beside every node with a faultable disk, so nothing here imports more than it needs.
"""
