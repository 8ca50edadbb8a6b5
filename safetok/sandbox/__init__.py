"""A CA endpoint and SoftHSM tokens on loopback, for the demo, the tests and training."""
