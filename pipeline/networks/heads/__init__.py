"""Task heads on the fused BEV map."""
