"""Speed and memory as ratios to a bare loop, measured side by side in one process."""
