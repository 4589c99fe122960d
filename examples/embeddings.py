"""Learn what the words of Python's standard library are like, from several processes (word2vec).

SharedBatchSampler deals each word to one of them, once per epoch, however fast they are. Each
steps the shared embeddings, by sparse Adagrad: a step touches only the rows of the words it saw.
"""

from __future__ import annotations

import builtins
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import torch
from _screen import console, parser, print_table
from _word2vec import NEAREST, REACH, SkipGram, Text, nearest
from _workers import run_workers, seconds
from torch import Tensor
from torch.utils.data import DataLoader, default_convert
from word_counts import read_words

import caffe2op_atomics as atomics

RAREST = 20  # how often a word has to occur to be learnt
STRANGERS = 8  # how many words drawn at random it has to make unlikely
BATCH = 512
RATE = 0.1
SHOWN = "typeerror", "true", "list", "read", "start", "open"


class Training(NamedTuple):
    """What the workers share: sent as one, so that model and optimizer stay linked."""

    model: SkipGram
    optimizer: atomics.optim.Adagrad
    sampler: atomics.SharedBatchSampler
    text: Text
    chances: Tensor  # of each word to be drawn as a stranger
    trained: Tensor  # how often each place of the text was trained on
    epochs: int


class Share(NamedTuple):
    """What one worker did in one epoch."""

    words: int
    loss: float  # of all of them


def train(rank: int, training: Training) -> list[Share]:
    """Train for some epochs, and return this worker's share of each."""
    torch.manual_seed(rank)
    model, optimizer, sampler, text, chances, trained, epochs = training
    loader = DataLoader(text, batch_sampler=sampler, collate_fn=default_convert)
    shares = []
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        words, loss = 0, 0.0
        for batch in loader:
            places, before, word, after = batch.split([1, REACH, 1, REACH], dim=1)
            strangers = chances.multinomial(len(batch) * STRANGERS, replacement=True)
            around = torch.cat([before, after], dim=1)
            losses = model(word.squeeze(1), around, strangers.view(-1, STRANGERS))
            optimizer.zero_grad()
            losses.mean().backward()
            optimizer.step()
            atomics.ops.index_add_(trained, 0, places.squeeze(1), 1)
            words, loss = words + len(batch), loss + losses.sum().item()
        shares.append(Share(words, loss))
    return shares


def show_epochs(shares: Sequence[Sequence[Share]], title: str) -> None:
    """Print how the loss went down, and who trained on how much."""
    rows = [
        (
            str(epoch),
            f"{sum(share.loss for share in of_all) / sum(share.words for share in of_all):.2f}",
            *(f"{share.words:,}" for share in of_all),
        )
        for epoch, of_all in enumerate(zip(*shares, strict=True), start=1)
    ]
    headings = ("epoch", "loss", *(f"words by\nworker {rank}" for rank in range(len(shares))))
    print_table(title, headings, rows)


def exceptions_among(words: Sequence[str]) -> set[int]:
    """Return which words are names of Python's own exceptions."""
    kinds = (kind for kind in vars(builtins).values() if isinstance(kind, type))
    names = {kind.__name__.lower() for kind in kinds if issubclass(kind, BaseException)}
    return {token for token, word in enumerate(words) if word in names}


def show_neighbours(model: SkipGram, words: Sequence[str]) -> None:
    """Print what the nearest neighbours of some words are, and how good a guess they are."""
    for word in SHOWN:
        neighbours = nearest(model, words.index(word))
        console.print(f"{word:>10}: {', '.join(words[token] for token in neighbours)}")
    exceptions = exceptions_among(words)
    right = [token in exceptions for word in exceptions for token in nearest(model, word)]
    console.print(
        f"Of the words nearest to the name of an exception, {sum(right) / len(right):.0%} are "
        f"names of exceptions, too; of all words, {len(exceptions) / len(words):.1%}, and of the "
        f"{NEAREST} most frequent, {sum(token < NEAREST for token in exceptions) / NEAREST:.0%}."
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Train, and return 0 if each word was trained on exactly once per epoch."""
    arguments = parser(__doc__)
    arguments.add_argument("--epochs", type=int, default=5)
    arguments.add_argument("--words", type=int, help="of text to learn from; all by default")
    options = arguments.parse_args(argv)

    read = read_words()[: options.words]
    frequencies = Counter(read).most_common()
    words = [word for word, frequency in frequencies if frequency >= RAREST]
    tokens_of = {word: token for token, word in enumerate(words)}
    text = Text(torch.tensor([tokens_of[word] for word in read if word in tokens_of]))
    chances = torch.tensor([float(frequency) for _, frequency in frequencies[: len(words)]]) ** 0.75

    torch.manual_seed(0)
    model = SkipGram(len(words))
    model.share_memory()
    optimizer = atomics.optim.Adagrad(model.parameters(), lr=RATE)
    sampler = atomics.SharedBatchSampler(len(text), BATCH)
    trained = torch.zeros(len(text), dtype=torch.int64).share_memory_()
    training = Training(model, optimizer, sampler, text, chances, trained, options.epochs)
    reports = run_workers(
        train,
        (training,),
        options.workers,
        options.start_method,
        lambda: ("learning", trained.sum().item() / (options.epochs * len(text))),
    )
    scale = f"{len(words):,} words from {len(text):,} words of text"
    show_epochs([report.result for report in reports], f"{options.workers} processes learn {scale}")
    once = bool((trained == options.epochs).all())
    console.print(
        f"{'Each' if once else 'NOT each'} word of the text was trained on exactly once per epoch, "
        f"in {seconds(reports):.0f} s."
    )
    show_neighbours(model, words)
    return int(not once)


if __name__ == "__main__":
    raise SystemExit(main())
