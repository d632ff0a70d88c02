"""Kinds of data: how model space becomes files, pictures and scores; they alone differ."""

from denoising_diffusion.kinds.base import Judgement, Kind, Scoring

__all__ = ["Judgement", "Kind", "Scoring"]
