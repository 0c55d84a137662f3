"""Names of what is counted about a frame."""

REASONS = ("small", "large", "low", "high", "thin", "ego")  # why a cluster is no region; it may have several
# All points and those in a region (rich) or not; clusters, the kept ones among them, and rejected ones by reason.
COUNTS = ("points", "rich", "ground", "noise", "rejected", "clusters", "kept", *REASONS)
