#!/usr/bin/env bash
torchrun train.py fit
