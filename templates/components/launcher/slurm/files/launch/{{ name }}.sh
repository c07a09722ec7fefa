#!/usr/bin/env bash
# Train on machines of a SLURM cluster; a job that is preempted, or whose time is
# up, is run again and goes on where it was:
#   sbatch launch/{{ name }}.sh [arguments of train.py fit]
#SBATCH --job-name={{ project }}
#SBATCH --nodes={{ nodes }}
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node={{ gpus }}
#SBATCH --cpus-per-task={{ 4 * gpus }}
#SBATCH --time={{ hours }}:00:00
#SBATCH --requeue
# Two minutes before the time is up: save, and ask to be run again.
#SBATCH --signal=USR1@120
#SBATCH --open-mode=append
set -euo pipefail
cd "$SLURM_SUBMIT_DIR"
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}" # threads of each process
first=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
export TORCHELASTIC_SIGNALS_TO_HANDLE=SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1
resume=()
if [ "${SLURM_RESTART_COUNT:-0}" -gt 0 ] &&
  compgen -G "runs/*/checkpoints/*" > /dev/null; then
  resume=(--ckpt_path last)
fi
srun torchrun --nnodes "$SLURM_NNODES" --nproc-per-node "${SLURM_GPUS_ON_NODE:-1}" \
  --rdzv-backend c10d --rdzv-id "$SLURM_JOB_ID" --rdzv-endpoint "$first:29500" \
  train.py fit --trainer.strategy ddp --trainer.num_nodes "$SLURM_NNODES" \
  "${resume[@]}" "$@"
