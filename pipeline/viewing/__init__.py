"""One frame with all that is known of it, to look at: `calico view`. No stage imports this room."""
