#!/usr/bin/env bash
# Train on several processes of this machine that share the parameters:
#   bash launch/fsdp.sh PROCESSES [arguments of train.py fit]
set -euo pipefail
processes=${1:?how many processes? For example: bash launch/fsdp.sh 2}
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" # threads of each process
torchrun --standalone --nproc-per-node "$processes" \
  train.py fit --config configs/fsdp.yaml "${@:2}"
