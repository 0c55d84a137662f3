"""Names of what is counted about a frame."""

# Why a cluster is no region; it may have several reasons.
REASONS = ("small", "large", "tall", "low", "high", "hanging", "thin", "ego")
# All points and those in a region (rich) or not; `invalid` ones, with a coordinate that is not finite, are among the
# noise. Clusters, the kept ones among them, and rejected ones by reason.
COUNTS = ("points", "rich", "ground", "noise", "rejected", "invalid", "clusters", "kept", *REASONS)
