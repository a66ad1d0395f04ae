"""Whalefall: break an orchestrated cluster on purpose and say whether it kept its promises.

Read ``docs/whats-here.md`` first: a paragraph a module, in reading order.
"""

__version__ = "0.1.0"
