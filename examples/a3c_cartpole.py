"""Balance CartPole's pole with A3C: processes that play and learn, and share one network.

The two lines that every A3C writes by hand are ``optimizer.pull(local)`` here, which copies one
moment of the shared network, and ``optimizer.step(grads_from=local)``, which loses no update.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from _actor_critic import ROLLOUT, ActorCritic, Player, loss_of
from _screen import console, parser
from _workers import run_workers, seconds
from torch import nn

import caffe2op_atomics as atomics

RATE = 0.001
LAST = 100  # episodes whose mean return is the score
TARGET = 195  # score at which all workers stop; the best is 500


class Training:
    """What the workers share: sent as one, so that model and optimizer stay linked."""

    def __init__(self, most_steps: int) -> None:
        torch.manual_seed(0)
        self.model = ActorCritic()
        self.model.share_memory()
        self.optimizer = atomics.optim.Adam(self.model.parameters(), lr=RATE)
        self.steps, self.most_steps = atomics.Counter(), most_steps
        self.episodes, self.returns = atomics.Counter(), torch.zeros(LAST).share_memory_()
        self.stop = atomics.AtomicBool()

    def score(self) -> float:
        """Return the mean return of the last episodes, too low while there are fewer."""
        return self.returns.mean().item()

    def end_episode(self, total: float) -> None:
        """Take in the return of an episode."""
        self.returns[self.episodes.next() % LAST] = total  # where nobody else writes now
        self.stop.set_if(self.score() >= TARGET)


def train(rank: int, training: Training) -> int:
    """Play and learn until somebody says stop, and return how many updates that were."""
    torch.manual_seed(rank)
    player, local, updates = Player(rank, training.end_episode), ActorCritic(), 0
    while not training.stop.is_set():
        training.optimizer.pull(local)
        loss = loss_of(local, player.play(local))
        local.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(local.parameters(), 0.5)
        training.optimizer.step(grads_from=local)
        updates += 1
        training.steps += ROLLOUT
        training.stop.set_if(training.steps.value >= training.most_steps)
    return updates


def main(argv: Sequence[str] | None = None) -> int:
    """Train, and return 0 if every update and every step was counted."""
    arguments = parser(__doc__)
    arguments.add_argument("--steps", type=int, default=300_000, help="after which they stop")
    options = arguments.parse_args(argv)

    training = Training(options.steps)
    reports = run_workers(
        train,
        (training,),
        options.workers,
        options.start_method,
        lambda: (f"score {training.score():.0f} of {TARGET}", training.score() / TARGET),
        training.stop.set,
    )
    made = sum(report.result for report in reports)
    counted = int(training.optimizer.state_dict()["state"][0]["step"])
    by_each = " + ".join(f"{report.result:,}" for report in reports)
    console.print(
        f"The workers made {by_each} = {made:,} updates, and Adam counted {counted:,}.\n"
        f"Mean return of the last {LAST} episodes: {training.score():.1f}, after "
        f"{training.episodes.value:,} episodes, {training.steps.value:,} steps and "
        f"{seconds(reports):.1f} s."
    )
    if training.score() < TARGET:
        console.print(f"That is all the steps there were: they did not reach {TARGET}.")
    return int((made, made * ROLLOUT) != (counted, training.steps.value))


if __name__ == "__main__":
    raise SystemExit(main())
