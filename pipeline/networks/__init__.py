"""Networks: tensors in, tensors out. Needs torch, and timm only where a camera branch is built."""
