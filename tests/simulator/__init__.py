"""The engine and the domain on a simulated cluster, network, clock and scheduler, all from one seed."""
