"""This machine: its processes, folders and files, and what is built on it."""
