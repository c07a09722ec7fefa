#!/usr/bin/env bash
# Train on several machines: run the same line on each of them.
#   bash launch/{{ name }}.sh MACHINES FIRST_MACHINE PROCESSES [arguments of train.py fit]
# FIRST_MACHINE is the name or address of one of them; PROCESSES run on each, as a rule
# one for each GPU. The run begins when all machines have joined.
set -euo pipefail
usage="bash launch/{{ name }}.sh MACHINES FIRST_MACHINE PROCESSES"
machines=${1:?how many machines? $usage}
first=${2:?the name of the first machine? $usage}
processes=${3:?how many processes on each? $usage}
cd "$(dirname "$0")/.."
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" # threads of each process
torchrun --nnodes "$machines" --nproc-per-node "$processes" \
  --rdzv-backend c10d --rdzv-id {{ project }} --rdzv-endpoint "$first:{{ port }}" \
  train.py fit --trainer.strategy ddp --trainer.num_nodes "$machines" "${@:4}"
