"""Judges: by what a model is chosen among the epochs of its training."""

from __future__ import annotations

from dataclasses import replace

from vaekit.objectives import Elbo, Objective
from vaekit.train.means import Means


def judge_of(objective: Objective) -> Objective:
    """What rows that are held out are judged by: the objective's own judge, or the plain ELBO.

    >>> from vaekit.objectives import Iwae
    >>> judge_of(Elbo(beta=4.0)), judge_of(Iwae(8)).called
    (Elbo(beta=Constant(value=1.0, steps=1), free_bits=0.0, kl=analytic_kl, samples=1), 'importance-weighted bound')
    """
    return objective.judge() or Elbo()


def judged(means: Means, objective: Objective) -> Means:
    """Means over rows that were held out, with the name of what they are judged by."""
    judge = objective.judge()
    return replace(means, judged_by=None if judge is None else judge.called)
