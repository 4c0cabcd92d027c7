#!/bin/bash
# SimCLR on two machines of eight GPUs each; sixteen tasks, each of them one process of the run.
#
#   sbatch examples/slurm.sh specs/simclr.ssl --recipe imagenet
#
# The run saves when Slurm announces the end of its time (SIGUSR1) or takes the machines back
# (SIGTERM), and exits with 75. The job is then queued again under its number, and the same
# command goes on with its own run.

#SBATCH --job-name=sslang
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=8
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=8
#SBATCH --time=12:00:00
#SBATCH --signal=USR1@120
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output=slurm-%j.log

# Without --kill-on-bad-exit the others wait for a task that has died.
srun --kill-on-bad-exit=1 sslang run "$@"
code=$?

if [ "$code" -eq 75 ]; then
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"
