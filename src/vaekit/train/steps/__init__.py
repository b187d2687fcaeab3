"""Steps: an update of the weights, and the ways to carry out many of them."""
