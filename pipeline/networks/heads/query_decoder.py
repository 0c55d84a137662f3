"""TransFusion's decoder layer: queries look at each other, then at the whole map."""

import torch
from torch import Tensor, nn


class QueryDecoder(nn.Module):
    """One transformer decoder layer with learned position embeddings (Bai et al., TransFusion, arXiv 2203.11496).

    Args:
        width: channels.
        heads: attention heads; must divide `width`.
        feedforward: hidden channels of the feed-forward network.
        dropout: share of values dropped in training.
    """

    def __init__(self, width: int, heads: int, feedforward: int, dropout: float) -> None:
        super().__init__()
        self.query_position = PositionEmbedding(width)
        self.key_position = PositionEmbedding(width)
        self.self_attention = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.cross_attention = nn.MultiheadAttention(width, heads, dropout, batch_first=True)
        self.feedforward = nn.Sequential(
            nn.Linear(width, feedforward), nn.ReLU(inplace=True), nn.Dropout(dropout), nn.Linear(feedforward, width)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.dropout = nn.Dropout(dropout)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, queries: Tensor, keys: Tensor, query_places: Tensor, key_places: Tensor) -> Tensor:
        """Updates the queries.

        Args:
            queries: [B, P, width].
            keys: [B, K, width].
            query_places: float [B, P, 2], in shares of the grid, -1 to 1.
            key_places: float [K, 2].

        Returns:
            [B, P, width].
        """
        query_position, key_position = self.query_position(query_places), self.key_position(key_places)
        # As upstream, positions are added to the values too.
        placed = queries + query_position
        seen, _ = self.self_attention(placed, placed, placed, need_weights=False)
        queries = self.norms[0](queries + self.dropout(seen))
        placed, keys = queries + query_position, keys + key_position
        seen, _ = self.cross_attention(placed, keys, keys, need_weights=False)
        queries = self.norms[1](queries + self.dropout(seen))
        updated: Tensor = self.norms[2](queries + self.dropout(self.feedforward(queries)))
        return updated


class PositionEmbedding(nn.Module):
    """Two layers from a position to `width` channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = nn.Linear(2, width, bias=False)
        self.norm = nn.BatchNorm1d(width)
        self.second = nn.Linear(width, width)

    def forward(self, places: Tensor) -> Tensor:
        """Positions float [..., 2] to [..., width]."""
        hidden = self.norm(self.first(places.flatten(0, -2)))
        embedded: Tensor = self.second(torch.relu(hidden))
        return embedded.view(*places.shape[:-1], -1)
