"""An actor-critic that plays CartPole, which a3c_cartpole.py trains, and its loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import gymnasium
import torch
from torch import Tensor, nn

ROLLOUT = 20  # steps of the environment per step of the optimizer
DISCOUNT = 0.99
ENTROPY = 0.01  # how much it is worth to try what looks worse


class ActorCritic(nn.Module):
    """What to do in a state, as logits, and what return to expect from there on."""

    def __init__(self) -> None:
        super().__init__()
        self.actor = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 2))
        self.critic = nn.Sequential(nn.Linear(4, 64), nn.Tanh(), nn.Linear(64, 1), nn.Flatten(0))


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

    def __init__(self, seed: int, end_episode: Callable[[float], None]) -> None:
        self.environment = gymnasium.make("CartPole-v1")
        self.state = torch.from_numpy(self.environment.reset(seed=seed)[0])
        self.end_episode, self.total = end_episode, 0.0

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
                self.end_episode(self.total)
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
