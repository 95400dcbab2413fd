"""Shapes of the native wire."""
