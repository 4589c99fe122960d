"""Skip-gram with negative sampling, which embeddings.py trains, and the text it learns from."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid, normalize
from torch.utils.data import Dataset

REACH = 2  # how many words before and after a word it has to make likely
WIDTH = 64  # of a vector
NEAREST = 5


class Text(Dataset[Tensor]):
    """A text, of which an item is a word's place, and the tokens from before it to after it."""

    def __init__(self, tokens: Tensor) -> None:
        self.windows = tokens.share_memory_().unfold(0, 2 * REACH + 1, 1)

    def __len__(self) -> int:
        return len(self.windows)

    def __getitems__(self, places: list[int]) -> Tensor:
        """Return a whole batch, as a DataLoader asks for it; nothing is left to collate."""
        where = torch.tensor(places)
        return torch.column_stack([where, self.windows[where]])


class SkipGram(nn.Module):
    """A vector for each word, and one for it as a neighbour of others."""

    def __init__(self, words: int) -> None:
        super().__init__()
        self.word = nn.Embedding(words, WIDTH, sparse=True)
        self.neighbour = nn.Embedding(words, WIDTH, sparse=True)
        nn.init.uniform_(self.word.weight, -0.5 / WIDTH, 0.5 / WIDTH)
        nn.init.zeros_(self.neighbour.weight)

    def forward(self, words: Tensor, neighbours: Tensor, strangers: Tensor) -> Tensor:
        """Return the loss of each word; of what stands near it, a row for each word."""
        vectors = self.word(words).unsqueeze(dim=2)
        near = logsigmoid(self.neighbour(neighbours) @ vectors)
        far = logsigmoid(-self.neighbour(strangers) @ vectors)
        return -(near.sum(dim=(1, 2)) + far.sum(dim=(1, 2)))


def nearest(model: SkipGram, word: int) -> list[int]:
    """Return the words whose vectors are most like that of a word."""
    vectors = normalize(model.word.weight.detach())
    return (vectors @ vectors[word]).topk(NEAREST + 1).indices.tolist()[1:]
