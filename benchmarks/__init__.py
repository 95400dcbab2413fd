"""Figures of architecture section 9, as ratios to bare proxies in one run: `make bench`."""
