"""Our own figures, measured on the simulator: `make bench`."""
