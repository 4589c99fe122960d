"""Balance CartPole's pole with A3C: processes that play and learn, and share one network.

The two lines that every A3C writes by hand are ``optimizer.pull(local)`` here, which copies one
moment of the shared network, and ``optimizer.step(grads_from=local)``, which loses no update.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import gymnasium
import torch
from _screen import console, parser
from _workers import run_workers, seconds
from torch import Tensor, nn

import caffe2op_atomics as atomics

ROLLOUT = 20  # steps of the environment per step of the optimizer
RATE = 0.001
DISCOUNT = 0.99
ENTROPY = 0.01  # how much it is worth to try what looks worse
LAST = 100  # episodes whose mean return is the score
TARGET = 195  # score at which all workers stop; the best is 500


class ActorCritic(nn.Module):
    """What to do in a state, as logits, and what return to expect from there on."""

    def __init__(self) -> None:
        super().__init__()
        self.actor = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 2))
        self.critic = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 1), nn.Flatten(0))


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


class Step(NamedTuple):
    """A step of the environment."""

    state: Tensor
    action: int
    reward: float
    after: Tensor
    terminated: bool  # the pole fell: no more rewards
    truncated: bool  # the time is up


class Player:
    """The game of one worker."""

    def __init__(self, rank: int, training: Training) -> None:
        self.environment = gymnasium.make("CartPole-v1")
        self.state = torch.from_numpy(self.environment.reset(seed=rank)[0])
        self.training, self.total = training, 0.0

    @torch.no_grad()
    def play(self, local: ActorCritic) -> list[Step]:
        """Go on for some steps, in the next episode if one ends."""
        rollout = []
        for _ in range(ROLLOUT):
            action = int(local.actor(self.state).softmax(dim=0).multinomial(1))
            state, reward, *ended, _ = self.environment.step(action)
            step = Step(self.state, action, float(reward), torch.from_numpy(state), *ended)
            rollout.append(step)
            self.state, self.total = step.after, self.total + step.reward
            if any(ended):
                self.training.end_episode(self.total)
                self.state, self.total = torch.from_numpy(self.environment.reset()[0]), 0.0
        return rollout


def loss_of(local: ActorCritic, rollout: list[Step]) -> Tensor:
    """Return the loss of actor and critic; what comes after the rollout, the critic guesses."""
    with torch.no_grad():
        guesses = local.critic(torch.stack([step.after for step in rollout])).tolist()
    future, returns = guesses[-1], torch.zeros(ROLLOUT)
    for place, step in reversed(list(enumerate(rollout))):
        if step.terminated or step.truncated:
            future = 0.0 if step.terminated else guesses[place]
        returns[place] = future = step.reward + DISCOUNT * future

    states = torch.stack([step.state for step in rollout])
    advantages = returns - local.critic(states)
    logs = local.actor(states).log_softmax(dim=1)
    chosen = logs[range(ROLLOUT), [step.action for step in rollout]]
    actor = (chosen * advantages.detach()).mean() - ENTROPY * (logs.exp() * logs).sum(dim=1).mean()
    return advantages.square().mean() / 2 - actor


def train(rank: int, training: Training) -> int:
    """Play and learn until somebody says stop, and return how many updates that were."""
    torch.manual_seed(rank)
    player, local, updates = Player(rank, training), ActorCritic(), 0
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
