"""Whether this installation and this project can work: `calico doctor`. No stage imports this room."""
