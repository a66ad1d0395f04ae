"""What the small Python programs share that run on nodes: they are sent as text, and find nothing there but python3-minimal."""

READ = """
def read(path):
    try:
        with open(path, "rb") as file:
            return file.read().decode(errors="replace")
    except OSError:
        return ""
"""
"""Defines `read`: a file's text, or nothing where it cannot be read."""
