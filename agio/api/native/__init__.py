"""Agio's own wire, as its clients speak it: one router per resource."""
