"""What happened, in order, and the one reading of it that all who judge and show share."""
