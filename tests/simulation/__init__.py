"""The whole gateway and the simulator in one process, in virtual time, from one seed."""
