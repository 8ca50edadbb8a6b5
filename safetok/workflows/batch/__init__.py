"""Many tokens in one go: a list is planned, a plan is run by several hands at once, and what came of it is reported."""
