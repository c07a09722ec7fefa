"""Samplers, data sets and loaders that users write, each with its own way to draw."""

import random

import numpy as np
import torch
from torch.utils.data import IterableDataset, Sampler, default_collate

from tests.reliability.recorded_run import BATCH_SIZE, BATCHES, SAMPLES, Samples


class LazySampler(Sampler):
    """Draws a sample when it is asked for: from the global generators, or one of its own."""

    def __init__(self, generator=random):
        self.generator = generator

    def __len__(self):
        return SAMPLES

    def __iter__(self):
        for _ in range(SAMPLES):
            yield (
                self.generator.randrange(SAMPLES) + int(torch.randint(3, ()))
            ) % SAMPLES


class BatchesOfOwnGenerator(Sampler):
    """A batch sampler whose NumPy generator goes on from epoch to epoch."""

    def __init__(self):
        self.generator = np.random.default_rng(0)

    def __len__(self):
        return BATCHES

    def __iter__(self):
        for _ in range(BATCHES):
            yield self.generator.permutation(SAMPLES)[:BATCH_SIZE].tolist()


class SamplesOfOwnGenerator(Samples):
    """Augments with a generator that belongs to the data set."""

    def __init__(self):
        super().__init__()
        self.generator = np.random.default_rng(3)

    def __getitem__(self, index):
        x, y, index = super().__getitem__(index)
        return x + float(self.generator.normal()), y, index


class Stream(IterableDataset):
    """Samples in a row, without a state."""

    def __init__(self):
        self.samples, self.position = Samples(), 0

    def __iter__(self):
        while self.position < SAMPLES:
            self.position += 1
            yield self.samples[self.position * 7 % SAMPLES]
        self.position = 0


class StatefulStream(Stream):
    """Samples in a row that know where they are."""

    def state_dict(self):
        return {"position": self.position}

    def load_state_dict(self, state):
        self.position = state["position"]


class SizedStream(StatefulStream):
    """The same with a length."""

    def __len__(self):
        return SAMPLES


class BatchList(StatefulStream):
    """A loader of its own: neither a `DataLoader` nor a data set."""

    def __iter__(self):
        while self.position < BATCHES:
            first = self.position * BATCH_SIZE
            self.position += 1
            rows = range(first, first + BATCH_SIZE)
            yield default_collate([self.samples[row % SAMPLES] for row in rows])
        self.position = 0
