"""Every public function refuses what it cannot use in its own words: the argument, the value and
what it takes. A row of the table is a call that works and, by argument, what goes wrong with it."""

import math
import os
from functools import partial

import hypothesis
import numpy as np
import pytest
import torch
from hypothesis import strategies as st
from torch import nn

import denoising_diffusion as dd
from denoising_diffusion.edm import edm_schedule
from denoising_diffusion.ema_power import power
from denoising_diffusion.rectified_flow import rectified_flow
from denoising_diffusion.sampling import denoiser

SCHEDULE = dd.Schedule.from_betas(dd.cosine_beta_schedule(6))
NET = dd.MLP(6, hidden=8, num_layers=1, num_classes=3)
MODEL = dd.GaussianDiffusion(SCHEDULE, (2,), NET)
X, T = torch.full((4, 2), 0.5), torch.full((4,), 2.0)
LABELS = torch.tensor([0, 1, 2, 3])
CLASSES = torch.tensor([0, 1, 2, 0])
STATS = dd.FeatureStatistics.from_features(torch.randn(9, 2, generator=dd.stream(0, "wrong")))
SIGNAL = {"alpha": torch.tensor([1.0, 0.5, 0.0]), "sigma": torch.tensor([0.0, 0.8, 1.0])}
GENERATOR = torch.Generator()
FEATURES = torch.randn(9, 2, generator=dd.stream(1, "wrong"))
IMAGES = np.zeros((2, 4, 4, 1), np.uint8)

NO_INTEGER = [None, "5", 1.5, True, [1], math.nan]
NO_COUNT = [*NO_INTEGER, 0, -3]
NO_STEPS = [*NO_COUNT, 10**6 + 1, 10**400]
NO_SEED = [None, "5", 1.5, True, [1], -1]
NO_NUMBER = [None, 10**400, "0.5", [0.5], 1j, True, math.nan]
NO_SHARE = [*NO_NUMBER, -0.1, 1.1, math.inf]
NO_TENSOR = [None, "x", [1.0, 2.0], 3, np.zeros(2)]
NO_DATA = [*NO_TENSOR, X > 0, X.to(torch.complex64), X[:, :1], torch.zeros(3, 5)]
NO_TIME = [None, "2", [2.0], T > 0, T[:1], torch.zeros(4, 1), torch.tensor(2.0), T + 9, -T]
NO_LABELS = [None, "1", [1], LABELS.float(), LABELS > 0, LABELS[:, None]]
NO_FUNCTION = [None, "f", 3, X]
NO_MODEL = [None, "model", 3, nn.Linear(2, 2)]
NO_NAME = [None, 3, "nonsense", ["a"]]
NO_FEATURES = [None, "x", FEATURES.tolist(), FEATURES > 0, FEATURES[:, 0], FEATURES / 0]
NO_CLASSES = [None, "1", [0, 1], CLASSES.float(), CLASSES + 1, CLASSES - 1, CLASSES[:, None]]
NO_FLAG = [None, "yes", 1, 0.0]


def step(sampler):
    """The first step of a walk, so that what is found on the way counts too."""
    return lambda **given: next(sampler(**given))


def trained(**given):
    net = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    known = {"model": net, "optimizer": optimizer, "loss": lambda m, b, g: m(b[0]).mean()}
    return next(dd.train(**{**known, **given}))


WALK = {"denoise": lambda x, t: x * 0.5, "schedule": SCHEDULE, "x": X, "times": [6, 3, 0]}
NO_WALK = {
    "denoise": [*NO_FUNCTION, lambda x, t: x[:1], lambda x, t: None],
    "schedule": [None, "cosine", 6, SIGNAL],
    "x": [None, "x", [0.0], 3, X > 0, X.long(), torch.tensor(1.0)],
    "times": [
        None,
        3,
        "630",
        [6],
        [],
        [0, 3],
        [3, 3],
        [7, 0],
        [6, -1],
        [6, math.nan],
        [6, "0"],
        [10**400, 0],
    ],
    "randn_like": [*NO_FUNCTION, lambda x: x[:1], lambda x: None],
}
TRAIN = {"data": (X,), "steps": 2, "batch_size": 2, "seed": 0}
LOSS = partial(dd.DiffusionLoss, times=dd.uniform_times)
UNET = {"in_channels": 1, "model_channels": 8, "num_timesteps": 5, "block_groups": 4}
METRICS = {"features": FEATURES, "reference": FEATURES + 1}

CALLS = {
    "linear_beta_schedule": (
        dd.linear_beta_schedule,
        {"num_timesteps": 50},
        {
            "num_timesteps": [*NO_STEPS, 19],
            "beta_start": [*NO_SHARE, 0],
            "beta_end": [*NO_SHARE, 0],
        },
    ),
    "cosine_beta_schedule": (
        dd.cosine_beta_schedule,
        {"num_timesteps": 50},
        {
            "num_timesteps": NO_STEPS,
            "s": [*NO_NUMBER, -0.1, math.inf],
            "max_beta": [*NO_SHARE, 0],
        },
    ),
    "Schedule": (
        dd.Schedule,
        SIGNAL,
        {
            "alpha": [*NO_TENSOR, SIGNAL["alpha"] > 0, torch.ones(2), torch.ones(3, 1)],
            "sigma": [*NO_TENSOR, SIGNAL["sigma"] > 0, torch.ones(2), -SIGNAL["sigma"]],
        },
    ),
    "from_betas": (
        dd.Schedule.from_betas,
        {"betas": torch.tensor([0.5, 0.9999])},
        {"betas": [*NO_TENSOR, X, X[0] > 0, X[0] * 0, X[0] * 3, X[0] / 0, torch.zeros(0)]},
    ),
    "from_alpha_cumprod": (
        dd.Schedule.from_alpha_cumprod,
        {"alpha_cumprod": torch.tensor([0.5, 0.0])},
        {"alpha_cumprod": [*NO_TENSOR, X, X[0] > 0, X[0], torch.tensor([0.5, -1.0])]},
    ),
    "schedule(t)": (
        SCHEDULE.__call__,
        {"t": 3},
        {"t": [None, "3", [3], 1j, True, -1, 7, 10**400, math.nan, T > 0, T + 9]},
    ),
    "schedule.time": (
        SCHEDULE.time,
        {"log_snr": 0.0},
        {"log_snr": [None, "3", [3], 1j, True, -99.0, 10**400, math.nan, T > 0]},
    ),
    "schedule.at": (
        SCHEDULE.at,
        {"t": T, "like": X},
        {"t": NO_TIME, "like": [None, "x", [0.0], 3, X[:1], X[0, 0]]},
    ),
    "GaussianDiffusion": (
        dd.GaussianDiffusion,
        {"schedule": SCHEDULE, "data_shape": (2,), "denoise_fn": NET},
        {
            "schedule": [None, "cosine", 6, [0.1, 0.2]],
            "data_shape": [None, 2, "2", (0,), (-1,), (1.5,), ("2",), (True,), X],
            "denoise_fn": NO_FUNCTION,
            "prediction": [None, 3, "nose", X, {"name": "noise", "scale": 3}, {}],
            "clip": [3, "01", (0,), (1, 0), (0, 0), (0, math.nan), ("0", 1), (0, 1, 2), (None, 1)],
        },
    ),
    "q_sample": (
        MODEL.q_sample,
        {"x_start": X, "t": T, "noise": X},
        {"x_start": NO_DATA, "t": NO_TIME, "noise": NO_DATA},
    ),
    "q_posterior_mean_variance": (
        MODEL.q_posterior_mean_variance,
        {"x_start": X, "x": X, "t": T},
        {"x_start": NO_DATA, "x": NO_DATA, "t": [*NO_TIME, T * 0]},
    ),
    "predict_start_from_noise": (
        MODEL.predict_start_from_noise,
        {"x": X, "t": T, "noise": X},
        {"x": NO_DATA, "t": NO_TIME, "noise": NO_DATA},
    ),
    "predict_noise_from_start": (
        MODEL.predict_noise_from_start,
        {"x": X, "t": T, "x_start": X},
        {"x": NO_DATA, "t": [*NO_TIME, T * 0], "x_start": NO_DATA},
    ),
    "denoise": (
        MODEL.denoise,
        {"x": X, "t": T},
        {"x": NO_DATA, "t": [*NO_TIME, T * 0]},
    ),
    "p_losses": (
        MODEL.p_losses,
        {"x_start": X, "t": T, "noise": X},
        {
            "x_start": NO_DATA,
            "t": [*NO_TIME, T * 0],
            "noise": NO_DATA,
            "loss": [*NO_FUNCTION, lambda a, b: a[:1], lambda a, b: None],
        },
    ),
    "x_start_factor": (
        MODEL.x_start_factor,
        {"t": T},
        {"t": [None, "2", [2.0], 10**400, -1, 7, T > 0, T + 9, -T]},
    ),
    "bound": (
        lambda denoise, condition: dd.bound(denoise, condition),
        {"denoise": NET, "condition": LABELS},
        {"denoise": NO_FUNCTION, "condition": [None, "1", [1], 3, torch.tensor(1)]},
    ),
    "ClassifierFreeGuidance": (
        lambda **given: dd.ClassifierFreeGuidance(**given)(X, T),
        {"denoise": MODEL.denoise, "labels": LABELS, "scale": 2.0},
        {
            "denoise": NO_FUNCTION,
            "labels": [*NO_LABELS, LABELS[:3], LABELS + 1],
            "scale": [*NO_NUMBER, -1, math.inf],
        },
    ),
    "clipped": (
        dd.clipped,
        {"denoise": MODEL.denoise, "low": -1.0, "high": 1.0},
        {
            "denoise": NO_FUNCTION,
            "low": [*NO_NUMBER, 1.0, 2.0],
            "high": [*NO_NUMBER, -1.0, -2.0],
        },
    ),
    "drop_labels": (
        dd.drop_labels,
        {"labels": LABELS, "prob": 0.5},
        {"labels": NO_LABELS[:-1], "prob": NO_SHARE, "generator": ["g", 3]},
    ),
    "ddpm": (step(dd.ddpm), WALK, NO_WALK),
    "ddim": (step(dd.ddim), {**WALK, "eta": 1.0}, {**NO_WALK, "eta": NO_SHARE}),
    **{
        name: (step(getattr(dd, name)), WALK, {**NO_WALK, "randn_like": NO_FUNCTION})
        for name in ("dpmpp_2m", "dpmpp_3m", "dpmpp_sde_2m")
    },
    "unipc": (
        step(dd.unipc),
        WALK,
        {**NO_WALK, "randn_like": NO_FUNCTION, "order": [*NO_COUNT, 4]},
    ),
    "heun": (step(dd.heun), WALK, {**NO_WALK, "randn_like": NO_FUNCTION}),
    "last": (dd.last, {"steps": iter([1])}, {"steps": [None, 3, [], iter(())]}),
    "counted": (dd.counted, {"denoise": NET}, {"denoise": NO_FUNCTION}),
    "time_grid": (
        dd.time_grid,
        {"num_timesteps": 6, "num_steps": 3},
        {"num_timesteps": [*NO_STEPS, 2], "num_steps": [*NO_COUNT, 7, 10**400]},
    ),
    "edm_schedule": (
        edm_schedule,
        {"timesteps": 5},
        {
            "timesteps": [*NO_STEPS, 1],
            "rho": [*NO_NUMBER, 0, -1, 1e300, 1e-3],
            "sigma_min": [*NO_NUMBER, 0, 90],
        },
    ),
    "rectified_flow": (rectified_flow, {"timesteps": 5}, {"timesteps": NO_STEPS}),
    "sample": (
        step(dd.sample),
        {"model": MODEL, "num": 2, "seed": 0},
        {
            "model": NO_MODEL,
            "num": NO_COUNT,
            "seed": NO_SEED[1:],
            "first": [*NO_SEED, 2**32 - 1, 10**400],
            "times": NO_WALK["times"][1:],
            "sampler": NO_FUNCTION,
            "denoise": NO_WALK["denoise"][1:],
        },
    ),
    "denoiser": (
        denoiser,
        {"d": MODEL, "labels": LABELS},
        {
            "labels": NO_LABELS[1:],
            "guidance_scale": [*NO_NUMBER, -1, math.inf],
            "clip": [None, 3, "01", (1, 0), (0,), ("0", 1)],
        },
    ),
    "p_sample": (
        dd.p_sample,
        {"d": MODEL, "x": X, "t": 3, "noise": X},
        {
            "d": NO_MODEL,
            "x": NO_DATA[:-2],
            "t": [None, "3", [3], 0, 7, -1, math.nan],
            "noise": [None, "x", X[:1]],
        },
    ),
    "p_sample_loop": (
        dd.p_sample_loop,
        {"d": MODEL, "num": 2, "seed": 0},
        {"d": NO_MODEL, "num": NO_COUNT, "seed": NO_SEED[1:]},
    ),
    "ddim_sample_loop": (
        dd.ddim_sample_loop,
        {"d": MODEL, "num_steps": 3, "num": 2, "seed": 0},
        {"d": NO_MODEL, "num_steps": [*NO_COUNT, 7], "num": NO_COUNT, "eta": NO_SHARE},
    ),
    "DiffusionLoss": (
        lambda **given: LOSS(**given)(MODEL, (X,), torch.Generator()),
        {},
        {
            "error": NO_FUNCTION,
            "times": [*NO_FUNCTION, lambda s, n, g: None],
            "weight": [*NO_FUNCTION[1:], lambda x: None],
            "conditions": [*NO_FUNCTION, lambda b, g: None],
        },
    ),
    "labels": (dd.labels, {"dropout": 0.5}, {"dropout": NO_SHARE}),
    "held_out_loss": (
        dd.held_out_loss,
        {"model": MODEL, "data": dd.as_rows((X, LABELS))},
        {"model": NO_MODEL, "data": [None, 3, "x", X], "error": NO_FUNCTION, "rows": NO_COUNT},
    ),
    "EMA": (
        dd.EMA,
        {"model": NET, "decay": 0.9},
        {"model": [None, "model", 3], "decay": [*NO_SHARE, 1.0]},
    ),
    "EMA.update": (
        dd.EMA(NET).update,
        {"model": NET, "step": 1},
        {"model": [None, "model", 3, nn.Linear(2, 2)], "step": NO_COUNT},
    ),
    "warmed_up": (dd.warmed_up, {"limit": 0.9}, {"limit": [*NO_SHARE, 1.0]}),
    "power": (power, {"width": 0.1}, {"width": [*NO_NUMBER, 0, 0.28, -1]}),
    "train": (
        trained,
        TRAIN,
        {
            "model": [None, "model", 3],
            "loss": [*NO_FUNCTION, lambda m, b, g: None, lambda m, b, g: m(b[0])],
            "data": [None, 3, "x", X, (), (X, T[:1]), (X[:0],), [1, 2]],
            "optimizer": [None, "adam", 3, torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=1)],
            "steps": NO_COUNT,
            "batch_size": NO_COUNT,
            "seed": NO_SEED,
            "start": [*NO_SEED, 3],
            "averages": [3, "ema", {"ema": 0.9}],
            "learning_rate": [3, "f", lambda k: None, lambda k: math.nan, lambda k: -1],
            "max_grad_norm": ["1", True, 0, -1, math.nan, math.inf],
        },
    ),
    "stream": (
        dd.stream,
        {"seed": 0, "purpose": "x", "index": 0},
        {"seed": NO_SEED, "purpose": [None, 3], "index": [*NO_SEED, 2**32, 10**400]},
    ),
    "SampleNoise": (
        lambda **given: dd.SampleNoise(**given)(X),
        {"seed": 0, "indices": range(4)},
        {"seed": NO_SEED, "indices": [None, 3, "0123", [-1, 0, 1, 2], [0.5, 1, 2, 3]]},
    ),
    "SampleNoise(like)": (
        dd.SampleNoise(0, range(4)),
        {"like": X},
        {"like": [None, "x", [1.0], 3, X[:2], X.long()]},
    ),
    "split_validation": (
        dd.split_validation,
        {"num": 10, "fraction": 0.1, "seed": 0},
        {"num": [*NO_INTEGER, -1], "fraction": NO_SHARE, "seed": NO_SEED},
    ),
    "make_moons": (
        dd.make_moons,
        {"n": 3},
        {"n": [*NO_INTEGER, -1, 10**10], "generator": ["g", 3]},
    ),
    "make_patterns": (dd.make_patterns, {"n_per_class": 3}, {"n_per_class": [*NO_INTEGER, -1]}),
    "load_dataset": (
        dd.load_dataset,
        {"choice": "spiral", "size": 50},
        {
            "choice": [None, 3, "spirale", {}, {"name": 3}],
            "size": [*NO_COUNT],
            "seed": NO_SEED,
        },
    ),
    "as_rows": (
        dd.as_rows,
        {"data": (X,)},
        {"data": [None, 3, "x", X, (), (X, T[:1]), (X[:0],), [1, 2], {"x": X}]},
    ),
    "whole": (dd.whole, {"rows": dd.as_rows((X,))}, {"rows": [None, 3, "x", X, (X,)]}),
    "read_points": (
        dd.read_points,
        {},
        {"path": [None, 3, b"x.csv", "nowhere.csv", "x.txt", "/"]},
    ),
    "MLP": (
        partial(dd.MLP),
        {"num_timesteps": 5, "hidden": 8},
        {
            "num_timesteps": NO_COUNT,
            "hidden": [*NO_COUNT, 7, 2],
            "in_dim": NO_COUNT,
            "num_layers": NO_COUNT,
            "num_octaves": [*NO_INTEGER, -1, 9],
            "num_classes": [0, -1, "3", 1.5, True],
        },
    ),
    "MLP(x, t)": (
        NET,
        {"x": X, "t": T, "labels": LABELS},
        {
            "x": [None, "x", [0.0], X > 0, X.long(), X[:, :1], X[0]],
            "t": [None, "2", T > 0, T[:1], T[:, None]],
            "labels": [*NO_LABELS[1:], LABELS + 1, LABELS - 1, LABELS[:1]],
        },
    ),
    "UNet": (
        dd.UNet,
        UNET,
        {
            "in_channels": NO_COUNT,
            "model_channels": [*NO_COUNT, 6],
            "num_timesteps": NO_COUNT,
            "out_channels": [0, -1, "3", 1.5, True],
            "dims": [*NO_COUNT, 3],
            "channel_multipliers": [None, 2, "12", (), (0,), (1.5,), (True,)],
            "num_blocks_per_level": NO_COUNT,
            "block_groups": [*NO_COUNT, 3],
            "num_attention_heads": [*NO_COUNT, 5],
            "middle_attention": NO_FLAG,
            "num_classes": [0, -1, "3", 1.5, True],
        },
    ),
    "UNetFixed": (
        dd.UNetFixed,
        UNET,
        {"in_channels": NO_COUNT, "model_channels": NO_COUNT, "block_groups": [*NO_COUNT, 3]},
    ),
    "LeNet5": (
        dd.LeNet5,
        {"in_channels": 1, "num_classes": 3},
        {"in_channels": NO_COUNT, "num_classes": NO_COUNT},
    ),
    "FeatureStatistics": (
        dd.FeatureStatistics,
        {"count": 3, "mean": X[0], "scatter": X[:2]},
        {"count": NO_COUNT, "mean": [None, "x", X, X[0] / 0], "scatter": [None, X, X[0]]},
    ),
    "from_features": (
        dd.FeatureStatistics.from_features,
        {"features": FEATURES},
        {"features": NO_FEATURES},
    ),
    "frechet_distance": (
        dd.frechet_distance,
        {"a": STATS, "b": STATS},
        {"a": [None, 3, "x", FEATURES], "b": [None, 3, "x", FEATURES]},
    ),
    "frechet_with_error": (
        dd.frechet_with_error,
        {"features": FEATURES, "reference": STATS, "resamples": 2},
        {
            "features": NO_FEATURES,
            "reference": [None, 3, FEATURES],
            "resamples": [*NO_COUNT, 1],
            "seed": NO_SEED,
        },
    ),
    "nearest": (
        dd.nearest,
        {"x": FEATURES, "reference": FEATURES},
        {"x": NO_FEATURES, "reference": NO_FEATURES, "exclude_self": NO_FLAG},
    ),
    "precision_recall": (
        dd.precision_recall,
        METRICS,
        {"features": NO_FEATURES, "reference": NO_FEATURES, "k": [*NO_COUNT, 9]},
    ),
    "density_coverage": (
        dd.density_coverage,
        METRICS,
        {"features": NO_FEATURES, "reference": NO_FEATURES, "k": [*NO_COUNT, 9]},
    ),
    "memorisation": (
        dd.memorisation,
        {"samples": FEATURES, "train": FEATURES, "held_out": FEATURES},
        {"samples": NO_FEATURES[:4], "train": NO_FEATURES, "held_out": NO_FEATURES},
    ),
    "arc_histogram_tv": (
        dd.arc_histogram_tv,
        {"points": FEATURES, "curve": dd.CURVES["moons"]},
        {"points": NO_FEATURES, "curve": [None, "moons", 3], "bins": NO_COUNT},
    ),
    "confusion_matrix": (
        dd.confusion_matrix,
        {"asked": CLASSES, "read": CLASSES, "num_classes": 3},
        {"asked": NO_CLASSES, "read": [*NO_CLASSES, CLASSES[:1]], "num_classes": NO_COUNT},
    ),
    "class_proportions": (
        dd.class_proportions,
        {"read": CLASSES, "num_classes": 3},
        {"read": [*NO_CLASSES, CLASSES[:0]], "num_classes": NO_COUNT},
    ),
    "image_grid": (
        dd.image_grid,
        {"images": IMAGES, "columns": 2},
        {
            "images": [None, "x", X, IMAGES * 1.0, IMAGES[0], IMAGES[:0]],
            "columns": NO_COUNT,
            "scale": [0, -1, "2", 1.5, True],
            "border": ["2", 1.5, True, -1],
            "names": [3, "ab", ["a"], [1, 2]],
            "title": [3, ["a"]],
        },
    ),
    "scatter_frame": (
        dd.scatter_frame,
        {"panels": [("a", FEATURES)]},
        {
            "panels": [None, 3, [], [FEATURES], [("a", "b")], [("a", FEATURES[0])]],
            "columns": [0, -1, "2", 1.5, True],
            "panel_size": NO_COUNT,
            "alpha": NO_SHARE,
        },
    ),
    "ode_log_likelihood": (
        dd.ode_log_likelihood,
        {"denoise": lambda x, t: 0.5 * x, "schedule": SCHEDULE, "x": X, "steps": 2},
        {
            "denoise": [*NO_FUNCTION, lambda x, t: None, lambda x, t: x[:, :1]],
            "schedule": [None, "cosine", 3],
            "x": [*NO_TENSOR, X > 0, LABELS],
            "start": [*NO_NUMBER, 0, -1, 6, math.inf],
            "steps": NO_COUNT,
            "probes": [*NO_INTEGER[1:], -1],
            "randn_like": NO_FUNCTION,
        },
    ),
    "variational_bound": (
        dd.variational_bound,
        {"denoise": lambda x, t: 0.5 * x, "schedule": SCHEDULE, "x": X},
        {
            "denoise": [*NO_FUNCTION, lambda x, t: None, lambda x, t: x[:, :1]],
            "schedule": [None, "cosine", 3],
            "x": [*NO_TENSOR, X > 0, LABELS],
            "levels": [*NO_COUNT[1:], 1, 2, 2**16 + 1],
            "randn_like": [*NO_FUNCTION, lambda x: x[:1]],
        },
    ),
    "dequantised": (
        dd.dequantised,
        {"x": X, "levels": 5},
        {"x": [*NO_TENSOR, X > 0, X + 1, X + 0.1], "levels": [*NO_COUNT, 1, 4, 2**16 + 1]},
    ),
    "bits_per_dim": (
        dd.bits_per_dim,
        {"log_likelihood": X[:, 0], "dims": 2},
        {"log_likelihood": [*NO_TENSOR, LABELS], "dims": NO_COUNT, "levels": [*NO_COUNT[1:], 1]},
    ),
    "grey_levels": (dd.grey_levels, {"x": X}, {"x": [*NO_TENSOR, X > 0, X / 0]}),
    "slerp": (
        dd.slerp,
        {"a": X, "b": X + T[:, None] * LABELS[:, None], "shares": T / 4},
        {
            "a": [*NO_TENSOR, X > 0, X / 0, 0 * X],
            "b": [*NO_TENSOR, X > 0, X / 0, X[:1], -X],
            "shares": [*NO_TENSOR, X, X / 0],
        },
    ),
    "read_tensors": (dd.read_tensors, {}, {"path": ["nowhere", "/", None, 3, b"x"]}),
    "register": (
        dd.register,
        {"table": "sampler", "name": "ddpm", "target": "samplers.ddpm:ddpm"},
        {"table": NO_NAME, "name": ["ddim", None, [1]], "target": [None, 3]},
    ),
    "recipe": (dd.recipe, {"name": "spiral"}, {"name": NO_NAME}),
    "load": (
        dd.load,
        {},
        {"run_folder": ["nowhere", "/", None, 3, b"x"]},
    ),
}

ALIASES = {
    "choice": ["data"],
    "d": ["the model"],
    "decay": ["ema decay"],
    "dropout": ["label_dropout"],
    "error": ["the answer of loss"],
    "indices": ["index", "streams"],
    "limit": ["ema decay"],
    "mean": ["scatter"],
    "name": ["recipe"],
    "num_steps": ["steps"],
    "num_timesteps": ["timesteps"],
    "run_folder": ["run folder"],
    "schedule": ["betas"],
    "width": ["power average"],
    "x": ["the batch"],
}
"""Where a function knows an argument by another name than its own; either will do."""

CASES = [
    pytest.param(call, given, name, value, id=f"{title}-{name}-{i}")
    for title, (call, given, wrong) in CALLS.items()
    for name, values in wrong.items()
    for i, value in enumerate(values)
]


def refused(call, given, name, value) -> str | None:
    """What is wrong with the refusal, or None."""
    try:
        call(**{**given, name: value})
    except (ValueError, TypeError) as error:
        text, kind = str(error), type(error)
        where = error.__traceback__
        while where.tb_next is not None:
            where = where.tb_next
        if kind not in (ValueError, TypeError):
            return f"is a {kind.__name__}: {text}"
        if "denoising_diffusion" not in where.tb_frame.f_code.co_filename:
            return f"the words are not ours: {text}"
        known = [name, *ALIASES.get(name, []), *([str(value)] if name == "path" else [])]
        if not any(k in text for k in known):
            return f"does not name {name}: {text}"
        if not _tells(text, value):
            return f"does not tell what it got: {text}"
        return "has several lines" if "\n" in text else None
    except BaseException as error:
        return f"{type(error).__name__}: {error}"
    return "is accepted"


def _tells(text: str, value) -> bool:
    """Whether a message says what was given: the value, its type, its shape or what it holds."""
    if isinstance(value, torch.Tensor | np.ndarray):
        shown = [str(tuple(value.shape)), str(value.dtype), "not finite", "values from", "rows"]
        shown += [f"{float(v):.4g}" for v in np.ravel(np.asarray(value.tolist()))[:1].real]
    else:
        shown = [repr(value), str(value), type(value).__name__]
        shown += [f"{value:g}"] if isinstance(value, float) else []
    empty = (0 in value.shape) if hasattr(value, "shape") else not value
    return any(s in text for s in shown) or "got" in text or (empty and " no " in text)


def test_the_table_is_long_and_its_calls_work():
    assert len(CASES) >= 300
    for call, given, _ in CALLS.values():
        if given:
            call(**given)


@pytest.mark.parametrize(("call", "given", "name", "value"), CASES)
def test_what_is_wrong_is_named_with_its_value(call, given, name, value):
    assert refused(call, given, name, value) is None


EXAMPLES = int(os.environ.get("WRONG_INPUTS", "400"))

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.text(max_size=3),
    st.binary(max_size=3),
    st.complex_numbers(),
    st.sampled_from([math.nan, math.inf, -math.inf, -(2**63), 1e300, object(), print]),
    st.lists(
        st.one_of(st.none(), st.integers(-2, 9), st.floats(), st.text(max_size=2)), max_size=4
    ),
    st.dictionaries(st.text(max_size=2), st.integers(), max_size=2),
    st.builds(
        lambda shape, dtype: torch.zeros(shape, dtype=dtype),
        st.lists(st.integers(0, 4), max_size=3),
        st.sampled_from([torch.float32, torch.int64, torch.bool, torch.complex64, torch.uint8]),
    ),
)


@hypothesis.settings(derandomize=True, max_examples=EXAMPLES, deadline=None, database=None)
@hypothesis.given(st.sampled_from(sorted(CALLS)), st.data())
def test_whatever_is_given_is_taken_or_refused_in_our_words(title, data):
    call, given, wrong = CALLS[title]
    name, value = data.draw(st.sampled_from(sorted(wrong))), data.draw(JUNK)
    if callable(value) or name == "target" or (title == "last" and isinstance(value, torch.Tensor)):
        return  # a function shows what it answers when it is called, a tensor what it iterates
    said = refused(call, given, name, value)
    assert said is None or said == "is accepted"
